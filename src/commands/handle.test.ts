import { describe, expect, it } from '@jest/globals';
import { AppError } from '../errors.ts';
import type { AnyEvent } from '../events/events.ts';
import { idFromCommand } from '../events/ids.ts';
import { createPlacement } from '../events/placement.ts';
import { type Append, AppendError } from '../log/event-log.ts';
import type { CommandRequest } from './command.ts';
import type { Decider } from './decider.ts';
import { createHandler } from './handle.ts';
import type { Claim, StreamSnapshot } from '../event-store/stream-store.ts';
import type { Settled } from '../event-store/verdicts.ts';

interface Renames {
  readonly category: 'album';
  readonly state: number;
  readonly command: string;
  /** How often an album may be renamed. */
  readonly context: number | undefined;
}

/** Counts how often an album was renamed. */
const renames: Decider<Renames> = {
  category: 'album',
  initial: 0,
  evolve: (count) => count + 1,
  decide(albumId, name, count, most = Infinity) {
    if (count >= most) throw new AppError('rejected', 'ENOUGH', `${count} are enough.`);
    return { type: 'AlbumChanged', albumId, name, year: count };
  },
};

const nothing: StreamSnapshot = { events: [], repeated: undefined, quarantined: undefined, stopped: undefined };
const renamed = (version: number) => ({
  version,
  id: `id-${version}`,
  event: { type: 'AlbumChanged', albumId: 'album-1', name: '', year: 0 } as AnyEvent,
});
const WON: Settled = { kind: 'won' };
const LOST: Settled = { kind: 'lost' };

/** A handler whose world the test sets. By default the stream is empty, appends are acknowledged, and verdicts are won. */
function open({ verdicts = [] as Settled[], append = () => Promise.resolve(), retries = 3 } = {}) {
  const world = {
    snapshot: nothing,
    loads: [] as number[],
    appended: [] as Append[],
    claims: [] as Claim[],
    pauses: [] as number[],
    onPause: () => undefined as unknown,
  };
  let ids = 0;
  const handle = createHandler(renames, {
    streams: {
      load(_, __, afterVersion) {
        world.loads.push(afterVersion);
        const events = world.snapshot.events.filter(({ version }) => version > afterVersion);
        return Promise.resolve({ ...world.snapshot, events });
      },
      verdicts: () => Promise.resolve([]),
    },
    appender: { append: (one) => (world.appended.push(one), append()) },
    verdicts: { verdictOn: (claim) => (world.claims.push(claim), Promise.resolve(verdicts.shift() ?? WON)) },
    placement: createPlacement('t', 3),
    newId: () => `new-${++ids}`,
    now: () => Date.UTC(2026, 0, 1),
    pause: (retry) => Promise.resolve(void world.pauses.push(retry)).then(() => void world.onPause()),
    limits: { verdictWaitMs: 100, retries, streams: 10 },
  });
  return { handle, world };
}

const request = (
  more: Partial<CommandRequest<string, number | undefined>> = {},
): CommandRequest<string, number | undefined> => ({
  stream: 'album-1',
  command: 'x',
  origin: { commandId: 'c', repeatable: false, bodyHash: 'h', olderBodyHashes: ['g'], actor: 'me', correlationId: 'r' },
  ...more,
});
const repeatable = { ...request().origin, repeatable: true };

describe('the handler', () => {
  it('appends one record with the next version, the id of the head, and its origin', async () => {
    const { handle, world } = open();
    world.snapshot = { ...nothing, events: [renamed(1), renamed(2)] };
    expect(await handle(request())).toEqual({ recordId: 'new-1', version: 3, replayed: false });
    expect(world.appended).toHaveLength(1);
    expect(world.appended[0]!.record.headers).toMatchObject({
      ce_id: 'new-1',
      ce_type: 'openmusic.AlbumChanged',
      ce_subject: 'album-1',
      ce_time: '2026-01-01T00:00:00.000Z',
      ce_streamversion: '3',
      ce_prev: 'id-2',
      ce_commandid: 'c',
      ce_actor: 'me',
      ce_correlationid: 'r',
      ce_causationid: 'c',
      ce_bodyhash: 'h',
    });
    expect(world.claims[0]).toMatchObject({ stream: 'album-1', version: 3, recordId: 'new-1' });
    expect(world.appended[0]).toMatchObject({ topic: world.claims[0]!.topic, partition: world.claims[0]!.partition });
  });

  it('remembers the state that it wrote, and reads nothing for the next command', async () => {
    const { handle, world } = open();
    await handle(request());
    expect(await handle(request())).toMatchObject({ version: 2 });
    expect(world.loads).toEqual([0]);
    expect(world.appended[1]!.record.headers).toMatchObject({ ce_streamversion: '2', ce_prev: 'new-1' });
  });

  it('reads nothing for a thing that the command creates, unless the command may have been sent before', async () => {
    const { handle, world } = open();
    await handle(request({ stream: idFromCommand('album', 'c') }));
    expect(world.loads).toEqual([]);
    await handle(request({ stream: idFromCommand('album', 'c'), origin: repeatable }));
    expect(world.loads).toHaveLength(1);
  });

  it('reads new events after a lost race, decides again, and appends under a new record id', async () => {
    const { handle, world } = open({ verdicts: [WON, LOST, LOST] });
    await handle(request());
    world.snapshot = { ...nothing, events: [renamed(2), renamed(3)] };
    expect(await handle(request())).toMatchObject({ version: 4, recordId: 'new-4' });
    expect(world.loads).toEqual([0, 1, 3]);
    expect(world.pauses).toEqual([1, 2]);
    expect(world.appended.map(({ record }) => record.headers.ce_prev)).toEqual(['', 'new-1', 'id-3', 'id-3']);
  });

  it('waits until the version that the sender has seen can be read', async () => {
    const { handle, world } = open();
    world.onPause = () =>
      (world.snapshot = { ...nothing, events: [renamed(1), renamed(2)].slice(0, world.pauses.length) });
    expect(await handle(request({ seen: 2 }))).toMatchObject({ version: 3 });
    expect(world.loads).toEqual([0, 0, 1]);
    expect(world.pauses).toEqual([1, 2]);
  });

  it('answers OUTCOME_UNKNOWN when the version that the sender has seen cannot be read', async () => {
    const { handle, world } = open({ retries: 3 });
    await expect(handle(request({ seen: 1 }))).rejects.toMatchObject({ kind: 'unavailable', code: 'OUTCOME_UNKNOWN' });
    expect(world.appended).toEqual([]);
  });

  it('gives up after the allowed number of retries', async () => {
    const { handle, world } = open({ verdicts: [LOST, LOST, LOST, LOST, WON], retries: 3 });
    await expect(handle(request())).rejects.toMatchObject({ kind: 'conflict', code: 'CONFLICT' });
    expect(world.appended).toHaveLength(4);
  });

  it('replays its own earlier effect when it lost the race to itself', async () => {
    const { handle, world } = open({ verdicts: [LOST] });
    const result = handle(request({ origin: repeatable }));
    world.snapshot = { ...nothing, repeated: undefined };
    await Promise.resolve();
    world.snapshot = { ...nothing, events: [renamed(1)], repeated: { version: 1, id: 'id-1', bodyHash: 'h' } };
    expect(await result).toEqual({ recordId: 'id-1', version: 1, replayed: true });
  });

  it.each([
    ['h', { replayed: true, recordId: 'id-1', version: 1 }],
    ['g', { replayed: true, recordId: 'id-1', version: 1 }],
  ])(
    'answers a repeated command with its first effect, whichever key hashed its body (%s)',
    async (bodyHash, outcome) => {
      const { handle, world } = open();
      world.snapshot = { ...nothing, events: [renamed(1)], repeated: { version: 1, id: 'id-1', bodyHash } };
      expect(await handle(request({ origin: repeatable }))).toEqual(outcome);
      expect(world.appended).toEqual([]);
    },
  );

  it('refuses a repeated command with another body', async () => {
    const { handle, world } = open();
    world.snapshot = { ...nothing, events: [renamed(1)], repeated: { version: 1, id: 'id-1', bodyHash: 'other' } };
    await expect(handle(request({ origin: repeatable }))).rejects.toMatchObject({ kind: 'reused' });
  });

  it('decides a refusal on a remembered state again on a fresh one, and reads the context each time', async () => {
    const { handle, world } = open();
    await handle(request());
    const limits = [1, 9];
    const context = () => Promise.resolve(limits.shift());
    expect(await handle(request({ context }))).toMatchObject({ version: 2 });
    expect(limits).toEqual([]);
    expect(world.loads).toEqual([0, 1]);
    await expect(handle(request({ context: () => Promise.resolve(1) }))).rejects.toMatchObject({ code: 'ENOUGH' });
    expect(world.appended).toHaveLength(2);
  });

  it.each<[string, Partial<StreamSnapshot>, string]>([
    ['a stream that is quarantined', { quarantined: 'r' }, 'STREAM_QUARANTINED'],
    ['a stream that is not projected', { stopped: 'r' }, 'PROJECTION_STOPPED'],
  ])('takes no command on %s', async (_, snapshot, code) => {
    const { handle, world } = open();
    world.snapshot = { ...nothing, ...snapshot };
    await expect(handle(request())).rejects.toMatchObject({ kind: 'unavailable', code, retryAfter: 1 });
    expect(world.appended).toEqual([]);
  });

  it.each<[Settled, string]>([
    [{ kind: 'quarantined', reason: 'r' }, 'STREAM_QUARANTINED'],
    [{ kind: 'stopped', reason: 'r' }, 'PROJECTION_STOPPED'],
    [{ kind: 'unknown' }, 'OUTCOME_UNKNOWN'],
  ])('answers unavailable when the verdict is %j', async (verdict, code) => {
    const { handle } = open({ verdicts: [verdict] });
    await expect(handle(request())).rejects.toMatchObject({ kind: 'unavailable', code, retryAfter: 1 });
  });

  it('answers by the verdict, with or without an acknowledgement', async () => {
    const never = () => new Promise<never>(() => undefined);
    expect(await open({ append: never }).handle(request())).toMatchObject({ version: 1 });
    const unanswered = () => Promise.reject(new AppendError('unknown', 'no answer'));
    expect(await open({ append: unanswered }).handle(request())).toMatchObject({ version: 1 });
  });

  it.each<[string, Error, object]>([
    ['the log refuses', new AppendError('refused', 'no'), { kind: 'unavailable', code: 'LOG_UNAVAILABLE' }],
    ['is too large', new AppError('too-large', 'EVENT_TOO_LARGE', ''), { code: 'EVENT_TOO_LARGE' }],
  ])('fails when the record %s', async (_, error, expected) => {
    const never = [new Promise<never>(() => undefined)] as unknown as Settled[];
    const { handle } = open({ append: () => Promise.reject(error), verdicts: never });
    await expect(handle(request())).rejects.toMatchObject(expected);
  });
});
