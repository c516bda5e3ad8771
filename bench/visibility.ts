import { sleep } from '../src/concurrency/sleep.ts';
import type { Stoppable } from '../src/lifecycle.ts';

const PAUSE_MS = 250;

/** Writes something and reads it at once, a few times a second, beside a load. `stop` throws what that threw. */
export function watchVisibility(writeAndRead: () => Promise<void>): Stoppable {
  const stopping = new AbortController();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await writeAndRead();
      await sleep(PAUSE_MS, stopping.signal);
    }
  })();
  watching.catch(() => undefined); // thrown by stop
  return {
    async stop() {
      stopping.abort();
      await watching;
    },
  };
}
