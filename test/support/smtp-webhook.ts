import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface Post {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Answer = { readonly status: number; readonly location?: string } | 'nothing' | 'cut' | 'trickle';

export interface TestWebhook {
  readonly url: string;
  readonly posts: readonly Post[];
  /** How many have ever connected. */
  connections(): number;
  /** How many wait for an answer. */
  held(): number;
  /** Changes its answers from now on. */
  answer(answer: Answer): void;
  stop(): Promise<void>;
}

/** A webhook that receives mails; at first it answers 204. */
export async function startWebhook(): Promise<TestWebhook> {
  const posts: Post[] = [];
  let connections = 0;
  let answer: Answer = { status: 204 };
  const held = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    void text(request).then(
      (body) => {
        posts.push({ method: request.method, path: request.url, headers: request.headers, body });
        held.add(response.on('close', () => held.delete(response)));
        if (answer === 'cut') response.destroy();
        else if (answer === 'trickle') trickle(request.socket);
        else if (answer !== 'nothing') {
          response.writeHead(answer.status, answer.location ? { location: answer.location } : {}).end();
        }
      },
      () => undefined,
    );
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mail`,
    posts,
    connections: () => connections,
    held: () => held.size,
    answer: (how) => {
      answer = how;
    },
    async stop() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A header that never ends. */
function trickle(socket: NodeJS.WritableStream): void {
  socket.write('HTTP/1.1 204 No Content\r\nslow: ');
  const timer = setInterval(() => socket.write('H'), 50);
  socket.once('close', () => clearInterval(timer));
}
