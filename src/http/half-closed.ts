import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { EVENT_STREAM } from './observe.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const FIRST_CHECK_MS = 50;
/** HTTP/1.0 has no interim answers: its clients get this long, which is longer than any wait for a place. */
const OLD_CLIENT_MS = 12_000;

/** Lets the server still answer a client that has closed its sending half of the connection. */
export const allowHalfClosed = (server: Server): void => void Object.assign(server, { httpAllowHalfOpen: true });

/**
 * A half-closed connection looks the same as that of a client that has left. An interim answer tells them apart: a waiting client
 * ignores it, and the system of a client that has left resets the connection, which aborts the work for it.
 */
export function answerHalfClosed(handle: Handler): Handler {
  return (request, response) => {
    const { socket } = request;
    let timer: NodeJS.Timeout | undefined;
    const checkIn = (ms: number) => {
      timer = setTimeout(() => check(ms), ms);
    };
    const check = (ms: number) => {
      if (response.headersSent) {
        // An answer that is being written fails by itself when the client is gone; an event stream may have nothing to write.
        if (response.getHeader('content-type') === EVENT_STREAM) socket.destroy();
      } else if (request.httpVersion !== '1.0') {
        response.writeContinue();
        checkIn(ms * 2);
      } else if (ms < OLD_CLIENT_MS) checkIn(OLD_CLIENT_MS);
      else socket.destroy();
    };
    const onEnd = () => checkIn(FIRST_CHECK_MS);
    if (socket.readableEnded) onEnd();
    else socket.once('end', onEnd);
    response.once('close', () => {
      clearTimeout(timer);
      socket.off('end', onEnd);
    });
    handle(request, response);
  };
}
