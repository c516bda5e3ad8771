import { expect, test } from '@jest/globals';
import { claim, handlerLimits, originOf } from '../test/support/core.ts';
import { album } from './commands/album.ts';
import { createHandler } from './commands/handle.ts';
import { newId } from './events/ids.ts';
import { createPlacement } from './events/placement.ts';
import type { FaultPoint, Faults } from './faults.ts';
import { createProjector } from './projections/engine/projector.ts';

const silent = () => undefined;

/** Notes what happens, in order; reaching a crash point is noted too. */
function notes() {
  const seen: string[] = [];
  const note = (what: string) => void seen.push(what);
  const points: FaultPoint[] = ['before-append', 'after-append', 'before-commit', 'after-commit'];
  const faults: Faults = Object.fromEntries(points.map((point) => [point, () => note(point)]));
  return { seen, note, faults };
}

test('a command passes its points before the log has the record, and when the log has acknowledged it', async () => {
  const { seen, note, faults } = notes();
  const verdict = Promise.withResolvers<{ kind: 'won' }>();
  const handle = createHandler(album, {
    streams: {
      load: () => Promise.resolve({ events: [], repeated: undefined, quarantined: undefined, stopped: undefined }),
      verdicts: () => Promise.resolve([]),
    },
    appender: {
      append() {
        note('append');
        setImmediate(() => verdict.resolve({ kind: 'won' }));
        return Promise.resolve().then(() => note('acknowledged'));
      },
    },
    verdicts: { verdictOn: () => verdict.promise.finally(() => note('verdict')) },
    placement: createPlacement('t', 1),
    newId,
    now: Date.now,
    pause: () => Promise.resolve(),
    faults,
    limits: handlerLimits,
  });
  const command = { type: 'CreateAlbum', details: { name: 'Parachutes', year: 2000 } } as const;
  await handle({ stream: 'album-1', origin: originOf(), command });
  expect(seen).toEqual(['before-append', 'append', 'acknowledged', 'after-append', 'verdict']);
});

test('a projector passes its points before its transaction, and between its commit and its notice', async () => {
  const { seen, note, faults } = notes();
  const where = { topic: 't.catalog', partition: 0 };
  const projector = createProjector({
    store: {
      checkpoints: () =>
        Promise.resolve([{ ...where, next: 0, fence: 0, fingerprint: '', leaderEpoch: 0, stopped: null }]),
      heads: () => Promise.resolve(new Map()),
      commit: () => Promise.resolve().then(() => (note('commit'), { onlyServing: true })),
      noteStopped: () => Promise.resolve(),
    },
    belongs: () => true,
    voids: () => Promise.resolve(() => false),
    ends: () => Promise.resolve([{ ...where, offset: 1 }]), // prettier-ignore
    observer: { committed: () => note('notice'), lost: silent, quarantined: silent, stopped: silent },
    faults,
  });
  await projector.assigned([where]);
  const record = { ...claim({ stream: 'album-1' }), ...where, offset: 0, leaderEpoch: 0 };
  const context = { signal: new AbortController().signal, heartbeat: () => Promise.resolve() };
  await projector.deliver([{ ...where, records: [record] }], context);
  expect(seen).toEqual(['before-commit', 'commit', 'after-commit', 'notice']);
});
