import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { EVENT_STREAM } from './observe.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const FIRST_LOOK_MS = 50;
/** HTTP/1.0 has no interim answers: its clients are waited for so long, which is longer than any wait for a place. */
const OLD_CLIENT_MS = 12_000;

/** Lets a client that has sent all it will send, and has closed its half of the connection, still be answered. */
export const allowHalfClosed = (server: Server): void => void Object.assign(server, { httpAllowHalfOpen: true });

/**
 * Such a client looks just like one that is gone. An interim answer tells them apart: one that waits ignores it, and the system of
 * one that is gone resets the connection, so that what is done for it ends.
 */
export function answerHalfClosed(handle: Handler): Handler {
  return (request, response) => {
    const { socket } = request;
    let timer: NodeJS.Timeout | undefined;
    const lookIn = (ms: number) => {
      timer = setTimeout(() => look(ms), ms);
    };
    const look = (ms: number) => {
      if (response.headersSent) {
        // What is written finds out by itself whether it is read; of events there may be none to write.
        if (response.getHeader('content-type') === EVENT_STREAM) socket.destroy();
      } else if (request.httpVersion !== '1.0') {
        response.writeContinue();
        lookIn(ms * 2);
      } else if (ms < OLD_CLIENT_MS) lookIn(OLD_CLIENT_MS);
      else socket.destroy();
    };
    const onEnd = () => lookIn(FIRST_LOOK_MS);
    if (socket.readableEnded) onEnd();
    else socket.once('end', onEnd);
    response.once('close', () => {
      clearTimeout(timer);
      socket.off('end', onEnd);
    });
    handle(request, response);
  };
}
