import { sleep } from '../src/concurrency/sleep.ts';
import type { Stoppable } from '../src/lifecycle.ts';

const PAUSE_MS = 250;

/** Beside a load, a few times a second, writes something and reads it at once. `stop` throws what that has thrown. */
export function watchVisibility(writeAndRead: () => Promise<void>): Stoppable {
  const stopping = new AbortController();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await writeAndRead();
      await sleep(PAUSE_MS, stopping.signal);
    }
  })();
  watching.catch(() => undefined); // said by stop
  return {
    async stop() {
      stopping.abort();
      await watching;
    },
  };
}
