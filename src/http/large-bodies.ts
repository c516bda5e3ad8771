import { Readable } from 'node:stream';
import type { preParsingHookHandler } from 'fastify';
import { isAdmin } from './access.ts';
import { bodyTooLarge } from './errors.ts';

/** For routes that accept large bodies, from admins only. Of another account’s body at most `bytes` are held. */
export const largeOnlyFromAdmins =
  (bytes: number): preParsingHookHandler =>
  (request, _reply, payload, next) => {
    const length = Number(request.headers['content-length']);
    if (isAdmin(request) || length <= bytes) next(null, payload);
    else if (length > bytes) next(bodyTooLarge());
    else next(null, Readable.from(upTo(bytes, payload as Readable))); // a chunked body has no length
  };

/** Reads and discards the rest of a body that is too long, as of every refused body. */
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
