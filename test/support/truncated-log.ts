import { randomUUID } from 'node:crypto';
import type { Position } from '../../src/events/record.ts';
import { lagOf } from '../../src/projections/engine/consumers.ts';
import { claim, type Api, type Core } from './core.ts';
import { withQueue } from './judges.ts';
import { restoreLog } from './restored-log.ts';
import { until } from './servers/waiting.ts';

/** The records that the log then lacks: winners, and losers. */
export const MISSING = { winners: 4, losers: 4 };

/**
 * Saves the log, makes changes of which some lose, and applies them to read models and a queue; then stops everything and
 * restores the saved log. The topics of `without` are missing from it. Returns where the log ends.
 */
export async function truncateLog(core: Core, api: Api, without: readonly string[] = []): Promise<Position[]> {
  const { id } = await api.createAlbum('Parachutes');
  const copied = await core.log.ends(core.placement.all);
  for (const name of ['a', 'b', 'c']) {
    await api.changeAlbum(id, name);
    await core.append(core.placement.place(id), claim({ stream: id, version: 2, prev: randomUUID() }));
  }
  await api.createAlbum('X & Y');
  await core.append(core.placement.place(id), claim({ stream: id, version: 1 }));
  await core.settled();
  await queueCatchesUp(core);
  await stopAll(core, api);
  await restoreLog(core, copied, without);
  return copied;
}

/** Runs the queue of the workers until it has everything that is in the log. */
export const queueCatchesUp = (core: Core): Promise<void> =>
  withQueue(core, (health) =>
    until(
      () => Promise.resolve(health().caughtUp && lagOf(health()) === 0 && health().stopped.length === 0),
      30_000,
      () => `the queue has not caught up: ${JSON.stringify(health())}`,
    ),
  );

/** No process reads or consumes any more. */
export async function stopAll(core: Core, api: Api): Promise<void> {
  await api.close();
  await core.stopProjectors();
}

/** Winners without their offsets, which another incarnation does not keep; of the first records only their presence. */
export async function eventsOf(core: Core) {
  const rows = await core.rows<{ stream: string; version: number; record_id: string }>('stream_events');
  return rows.map(({ stream, version, record_id }) => ({
    stream,
    version,
    id: stream.startsWith('genesis-') ? 'any' : record_id,
  }));
}

export const modelsOf = async (core: Core) => ({ albums: await core.rows('albums'), events: await eventsOf(core) });
