import { sleep, type Stoppable } from '../src/lifecycle.ts';
import { createAlbum, createdId, get } from './requests.ts';

const PAUSE_MS = 250;

/**
 * Beside a load, a few times a second, creates an album and reads it at once. `stop` throws when one that was acknowledged
 * was not there.
 */
export function watchVisibility(url: string): Stoppable {
  const stopping = new AbortController();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await createAndRead(url);
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

async function createAndRead(url: string): Promise<void> {
  const created = await createAlbum(url);
  if (created.status === 503) return; // not acknowledged
  const id = createdId(created);
  const read = await get(url, `/albums/${id}`);
  if (read.status !== 200) throw new Error(`${id} was acknowledged, and reading it answers ${read.status}`);
}
