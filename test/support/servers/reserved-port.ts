import { once } from 'node:events';
import { createServer } from 'node:net';
import { freePort } from '../ports.ts';

/** A port that no other search for a free one finds while it is reserved. */
export interface ReservedPort {
  readonly port: number;
  /** Leaves the port to the server that is about to start. Calling it twice is allowed. */
  release(): Promise<void>;
}

export async function reservePort(): Promise<ReservedPort> {
  const port = await freePort();
  const holder = createServer().unref().listen(port, '127.0.0.1');
  await once(holder, 'listening');
  return {
    port,
    release: () => new Promise((resolve) => holder.close(() => resolve())),
  };
}
