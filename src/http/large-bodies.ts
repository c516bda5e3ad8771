import { Readable } from 'node:stream';
import type { preParsingHookHandler } from 'fastify';
import { isAdmin } from './access.ts';
import { bodyTooLarge } from './errors.ts';

/** Stands before a route whose body may be large: only an admin’s. Of others’ no more than `bytes` are ever kept. */
export const largeOnlyFromAdmins =
  (bytes: number): preParsingHookHandler =>
  (request, _reply, payload, next) => {
    const length = Number(request.headers['content-length']);
    if (isAdmin(request) || length <= bytes) next(null, payload);
    else if (length > bytes) next(bodyTooLarge());
    else next(null, Readable.from(upTo(bytes, payload as Readable))); // comes in chunks, of any number
  };

/** The rest of what is too long is read and not kept, as of every body that is refused. */
async function* upTo(bytes: number, payload: Readable): AsyncGenerator<Buffer, void> {
  let length = 0;
  try {
    for await (const chunk of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > bytes) throw bodyTooLarge();
      yield chunk;
    }
  } finally {
    payload.resume();
  }
}
