import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CommandOutcome } from '../../src/commands/command.ts';
import { commandIdOf, newId, idFromCommand } from '../../src/events/ids.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { startGenerationProjector } from '../../src/projections/engine/generation-projector.ts';
import { createGeneration, holdGeneration, type Generation } from '../../src/projections/generations/generations.ts';
import { openManualProjector } from '../support/manual-projector.ts';
import { type Api, claim, type Core, openCore, originOf } from '../support/core.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';
import { recordsOf } from '../support/records.ts';
import { eventually } from '../support/observed.ts';
import { within } from '../support/servers/waiting.ts';

/** Less than a handler waits for a verdict, so a faster answer did not time out. */
const WITHOUT_VERDICT_MS = 4_000;

let database: TestDatabase;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => database.drop());

async function open(options: Partial<Parameters<typeof openCore>[0]> = {}): Promise<Core> {
  const core = await openCore({ connection: database.connection, ...options });
  closing.push(() => core.close());
  return core;
}

/** Records of a stream in the log, winners and losers. */
async function recordsIn(core: Core, stream: string) {
  const entries = await core.log.read({ ...core.placement.place(stream), offset: 0 }, { maxBytes: 2 ** 26 });
  return recordsOf(entries).filter(({ key }) => key === stream);
}

async function acceptedOf(core: Core, stream: string) {
  const rows = await core.rows<{ stream: string; version: number; record_id: string; command_id: string }>(
    'stream_events',
  );
  return rows.filter((row) => row.stream === stream);
}

/** A repeatable command, with the same body by default. */
const repeatable = (key: string, more: object = {}) =>
  originOf({ commandId: commandIdOf('anonymous', 'POST', '/albums', key), repeatable: true, bodyHash: 'one', ...more });

describe('commands on one stream', () => {
  it('give versions 1 to n without a gap when two processes of 20 writers each write at once', async () => {
    const core = await open();
    const apis = [await core.openApi(), await core.openApi()];
    const { id } = await apis[0]!.createAlbum();
    const outcomes = await Promise.all(
      apis.flatMap((api, process) =>
        numbers(20).map((writer) => tenacious(() => api.changeAlbum(id, `${process}.${writer}`))),
      ),
    );
    expect(outcomes.map(({ version }) => version).sort((a, b) => a - b)).toEqual(numbers(40).map((n) => n + 1));
    const accepted = await acceptedOf(core, id);
    expect(accepted.map(({ version }) => version)).toEqual(numbers(41));
    const answered = new Map(outcomes.map(({ version, recordId }) => [version, recordId]));
    for (const { version, record_id } of accepted.slice(1)) expect(answered.get(version)).toBe(record_id);
    expect(core.projectorReports.lost.every(({ alarm }) => !alarm)).toBe(true);
  });

  it('queue in one process, so that they lose no race to each other', async () => {
    const core = await open();
    const api = await core.openApi();
    const { id } = await api.createAlbum();
    await Promise.all(numbers(50).map((n) => api.changeAlbum(id, `${n}`)));
    expect(core.projectorReports.lost).toEqual([]);
    expect(await acceptedOf(core, id)).toHaveLength(51);
  });

  it('are retried with the same command id and a new record id after a lost race', async () => {
    const core = await open();
    const [mine, other] = [await core.openApi(), await core.openApi()];
    const { id } = await mine.createAlbum();
    await other.changeAlbum(id, 'of the other'); // this process remembers version 1
    const commandId = newId();
    expect(await mine.changeAlbum(id, 'mine', { commandId })).toMatchObject({ version: 3, replayed: false });
    const tries = (await recordsIn(core, id)).filter(({ headers }) => headers.ce_commandid === commandId);
    expect(tries.map(({ headers }) => headers.ce_streamversion)).toEqual(['2', '3']);
    expect(new Set(tries.map(({ headers }) => headers.ce_id)).size).toBe(2);
  });

  it('end in CONFLICT after the maximum number of lost races', async () => {
    const core = await open();
    const { append, alwaysFirst } = overtaking(core);
    const api = await core.openApi({ log: { append }, limits: { retries: 3 } });
    const { id } = await api.createAlbum();
    alwaysFirst(id);
    await expect(api.changeAlbum(id, 'mine')).rejects.toMatchObject({ kind: 'conflict', code: 'CONFLICT' });
    expect((await recordsIn(core, id)).filter(({ headers }) => headers.ce_actor === 'anonymous')).toHaveLength(
      1 + 2 * 4,
    );
    expect((await acceptedOf(core, id)).map(({ version }) => version)).toEqual(numbers(5));
  });
});

describe('a repeated command', () => {
  it('gets its first effect, and appends nothing', async () => {
    const core = await open();
    const [api, other] = [await core.openApi(), await core.openApi()];
    const origin = repeatable('a');
    const first = await api.createAlbum('Parachutes', origin);
    await api.changeAlbum(first.id, 'Changed since');
    for (const each of [api, other]) {
      expect(await each.createAlbum('Parachutes', origin)).toEqual({ ...first, replayed: true });
    }
    expect(await recordsIn(core, first.id)).toHaveLength(2);
  });

  it('sent to two processes at once has one effect, and both get the same answer', async () => {
    const core = await open();
    const apis = [await core.openApi(), await core.openApi(), await core.openApi()];
    const { id } = await apis[0]!.createAlbum();
    for (const key of ['a', 'b', 'c', 'd']) {
      const answers = await Promise.all([...apis, ...apis].map((api) => api.changeAlbum(id, key, repeatable(key))));
      expect(new Set(answers.map(({ recordId }) => recordId)).size).toBe(1);
      expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    }
    expect(await acceptedOf(core, id)).toHaveLength(5);
  });

  it('with another body is rejected', async () => {
    const core = await open();
    const api = await core.openApi();
    const { id } = await api.createAlbum('Parachutes', repeatable('a'));
    await expect(api.createAlbum('Other', repeatable('a', { bodyHash: 'two' }))).rejects.toMatchObject({
      kind: 'reused',
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    expect(await recordsIn(core, id)).toHaveLength(1);
  });

  it('with the same body and an older hash key is recognised', async () => {
    const core = await open();
    const api = await core.openApi();
    const first = await api.createAlbum('Parachutes', repeatable('a', { bodyHash: 'by the old key' }));
    const again = repeatable('a', { bodyHash: 'by the new key', olderBodyHashes: ['by the old key'] });
    expect(await api.createAlbum('Parachutes', again)).toEqual({ ...first, replayed: true });
  });

  it('that was rejected before is decided again', async () => {
    const core = await open();
    const api = await core.openApi();
    const { id } = await api.createAlbum();
    const stale = { stream: id, command: { type: 'DeleteAlbum' }, origin: repeatable('d') } as const;
    await expect(api.commands.album({ ...stale, expectedVersion: [7] })).rejects.toMatchObject({ kind: 'stale' });
    expect(await api.commands.album({ ...stale, expectedVersion: [1] })).toMatchObject({ version: 2, replayed: false });
  });
});

describe('If-Match', () => {
  const change = (api: Api, stream: string, expectedVersion: 'any' | number[]) =>
    api.commands.album({
      stream,
      origin: originOf(),
      expectedVersion,
      command: { type: 'ChangeAlbum', details: { name: 'x', year: 1 } },
    });

  it('accepts a command on one of its versions, and any version of an existing resource', async () => {
    const core = await open();
    const api = await core.openApi();
    const { id } = await api.createAlbum();
    expect(await change(api, id, [9, 1])).toMatchObject({ version: 2 });
    await expect(change(api, id, [1])).rejects.toMatchObject({ kind: 'stale', code: 'PRECONDITION_FAILED' });
    await expect(change(api, id, [])).rejects.toMatchObject({ kind: 'stale' });
    expect(await change(api, id, 'any')).toMatchObject({ version: 3 });
    await expect(change(api, core.streamIn(0), 'any')).rejects.toMatchObject({ kind: 'not-found' });
    expect(await recordsIn(core, id)).toHaveLength(3);
  });

  it('that matches only what a process remembers is outdated, after a lost race too', async () => {
    const core = await open();
    const [mine, other] = [await core.openApi(), await core.openApi()];
    const { id } = await mine.createAlbum();
    await other.changeAlbum(id, 'of the other');
    await expect(change(mine, id, [1])).rejects.toMatchObject({ kind: 'stale' });
    expect((await acceptedOf(core, id)).map(({ version }) => version)).toEqual([1, 2]);
  });

  it('that matches only a version that a process has not seen yet passes', async () => {
    const core = await open();
    const [mine, other] = [await core.openApi(), await core.openApi()];
    const { id } = await mine.createAlbum();
    await other.changeAlbum(id, 'of the other');
    expect(await change(mine, id, [2])).toMatchObject({ version: 3 });
  });
});

describe('the remembered state', () => {
  it('never rejects what the newest state allows', async () => {
    const core = await open();
    const [mine, other] = [await core.openApi(), await core.openApi()];
    const stream = core.streamIn(0);
    await expect(mine.changeAlbum(stream, 'not there')).rejects.toMatchObject({ code: 'ALBUM_NOT_FOUND' });
    await core.append(core.placement.place(stream), claim({ stream }));
    await core.settled();
    expect(await mine.changeAlbum(stream, 'there')).toMatchObject({ version: 2 });
    await other.commands.album({ stream, origin: originOf(), command: { type: 'DeleteAlbum' } });
    await expect(mine.changeAlbum(stream, 'gone')).rejects.toMatchObject({ code: 'ALBUM_NOT_FOUND' });
  });

  it('does not decide whether another stream exists', async () => {
    const core = await open();
    const [mine, other] = [await core.openApi(), await core.openApi()];
    const { id } = await mine.createAlbum();
    const { albumExists } = await import('../../src/projections/albums.ts');
    const createSong = (commandId = newId()) =>
      mine.commands.song({
        stream: idFromCommand('song', commandId),
        origin: originOf({ commandId }),
        context: async () => ({ albumExists: await albumExists(mine.reads, id) }),
        command: {
          type: 'CreateSong',
          details: { title: 'Yellow', year: 2000, genre: 'rock', performer: 'Coldplay', duration: null, albumId: id },
        },
      });
    expect(await createSong()).toMatchObject({ version: 1 });
    await other.commands.album({ stream: id, origin: originOf(), command: { type: 'DeleteAlbum' } });
    await expect(createSong()).rejects.toMatchObject({ code: 'ALBUM_NOT_FOUND' });
  });
});

describe('an unknown outcome', () => {
  const unknown = { kind: 'unavailable', code: 'OUTCOME_UNKNOWN', retryAfter: 1 };

  it('of an append that is never answered and never happens is reported within the wait, and a retry has one effect', async () => {
    const core = await open();
    const faulty = faultyLog(core.log);
    const api = await core.openApi({ log: faulty, limits: { verdictWaitMs: 1_000 } });
    faulty.next('swallow');
    await within(
      WITHOUT_VERDICT_MS,
      'the answer',
      expect(api.createAlbum('a', repeatable('k'))).rejects.toMatchObject(unknown),
    );
    const { id } = await api.createAlbum('a', repeatable('k'));
    expect(await acceptedOf(core, id)).toHaveLength(1);
  });

  it('of an append whose answer is lost is settled by the verdict', async () => {
    const core = await open();
    const faulty = faultyLog(core.log);
    const api = await core.openApi({ log: faulty });
    for (const fault of ['append and never answer', 'append and fail'] as const) {
      faulty.next(fault);
      expect(await within(WITHOUT_VERDICT_MS, fault, api.createAlbum(fault))).toMatchObject({
        version: 1,
        replayed: false,
      });
    }
  });

  it('of an append that arrives late has one effect, with or without a retry', async () => {
    const core = await open();
    const faulty = faultyLog(core.log);
    const api = await core.openApi({ log: faulty, limits: { verdictWaitMs: 1_000 } });
    const other = await core.openApi();
    const { id } = await other.createAlbum();
    faulty.next('append late');
    await expect(api.changeAlbum(id, 'a', repeatable('k'))).rejects.toMatchObject(unknown);
    const retried = await other.changeAlbum(id, 'a', repeatable('k'));
    await faulty.comeLate();
    await core.settled();
    expect(await acceptedOf(core, id)).toHaveLength(2);
    expect(await api.changeAlbum(id, 'a', repeatable('k'))).toEqual({ ...retried, replayed: true });
    expect(await api.changeAlbum(id, 'b')).toMatchObject({ version: 3 });
  });

  it('is reported while no projector runs, and the retry finds the effect afterwards', async () => {
    const core = await open();
    const api = await core.openApi({ limits: { verdictWaitMs: 200 } });
    await core.stopProjectors();
    await expect(api.createAlbum('a', repeatable('k'))).rejects.toMatchObject(unknown);
    await core.startProjectors();
    await core.settled();
    expect(await api.createAlbum('a', repeatable('k'))).toMatchObject({ version: 1, replayed: true });
  });

  it('is not assumed for an append that was rejected', async () => {
    const core = await open();
    const faulty = faultyLog(core.log);
    const api = await core.openApi({ log: faulty });
    faulty.next('refuse');
    const refused = expect(api.createAlbum('a')).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'LOG_UNAVAILABLE',
    });
    await within(WITHOUT_VERDICT_MS, 'the answer', refused);
  });
});

describe('the verdict', () => {
  it('is found by polling when the notice is lost', async () => {
    const core = await open();
    const api = await core.openApi({ hints: false, pollMs: 100 });
    await within(WITHOUT_VERDICT_MS, 'the answer', api.createAlbum());
  });

  it('waits for another served generation that is being read, and not for one without readers', async () => {
    const core = await open();
    const other = await secondBuild(core);
    const api = await core.openApi();
    const hasty = await core.openApi({ limits: { verdictWaitMs: 400 } });
    const newest = await core.serving();
    expect(api.reads.generation()).toMatchObject({ id: newest.id });

    await api.createAlbum('without readers of the other one');
    const reader = await readerOf(core, other);
    await expect(hasty.createAlbum('with a reader')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    const hand = await openManualProjector(core, other);
    closing.push(() => hand.close());
    const before = await core.log.ends(core.placement.all);
    const waiting = api.createAlbum('until it is there');
    const isAppended = async () => !isDeepStrictEqual(await core.log.ends(core.placement.all), before);
    await eventually('it is appended', isAppended);
    await hand.catchUp();
    expect(await waiting).toMatchObject({ version: 1 });
    await reader();
    await api.createAlbum('the reader has left');
  });

  it('is negative when another record won, and the command sees that record’s change', async () => {
    const core = await open();
    const api = await core.openApi();
    const { id, recordId } = await api.createAlbum();
    const deleted = claim({
      stream: id,
      version: 2,
      prev: recordId,
      event: { type: 'AlbumDeleted', albumId: id, name: 'n', year: 1 },
    });
    await core.append(core.placement.place(id), deleted);
    await expect(api.changeAlbum(id, 'too late')).rejects.toMatchObject({ code: 'ALBUM_NOT_FOUND' });
  });
});

describe('a batch', () => {
  it('above the size limit is rejected, and nothing is appended', async () => {
    const core = await open();
    const api = await core.openApi();
    const before = await core.log.ends(core.placement.all);
    const refused = expect(api.createAlbum('x'.repeat(512_000))).rejects.toMatchObject({
      kind: 'too-large',
      code: 'EVENT_TOO_LARGE',
    });
    await within(WITHOUT_VERDICT_MS, 'the answer', refused);
    expect(await core.log.ends(core.placement.all)).toEqual(before);
    expect(await api.createAlbum('x'.repeat(500_000))).toMatchObject({ version: 1 });
  });

  it('is never too large when 300 records are appended at once', async () => {
    const core = await open({ partitions: 1 });
    const api = await core.openApi();
    const all = await Promise.all(numbers(300).map((n) => api.createAlbum(`${n} ${'x'.repeat(5_000)}`)));
    expect(all.every(({ version }) => version === 1)).toBe(true);
    expect(await core.rows('albums')).toHaveLength(300);
  });
});

/** Repeats a command that lost too often, as a client would. */
async function tenacious(command: () => Promise<CommandOutcome>): Promise<CommandOutcome> {
  return command().catch((error: unknown) => {
    if ((error as { code?: string }).code !== 'CONFLICT') throw error;
    return tenacious(command);
  });
}

/** A log on which another process always appends first. */
function overtaking(core: Core) {
  let overtaken: string | undefined;
  const append: EventLog['append'] = async (batch) => {
    for (const { topic, partition, record } of batch) {
      if (record.key !== overtaken) continue;
      const { ce_streamversion: version, ce_prev: prev } = record.headers;
      const event = { type: 'AlbumChanged', albumId: record.key, name: 'faster', year: 1 } as const;
      const faster = claim({ stream: record.key, version: Number(version), prev: prev!, event });
      await core.append({ topic, partition }, faster);
    }
    await core.log.append(batch);
  };
  return { append, alwaysFirst: (stream: string) => void (overtaken = stream) };
}

type Fault = 'swallow' | 'append and never answer' | 'append and fail' | 'append late' | 'refuse';

/** A log on which the next append fails. */
function faultyLog(log: EventLog) {
  const faults: Fault[] = [];
  const late: (() => Promise<void>)[] = [];
  const never = new Promise<never>(() => undefined);
  const append: EventLog['append'] = async (batch) => {
    const { AppendError } = await import('../../src/log/event-log.ts');
    switch (faults.shift()) {
      case undefined:
        return log.append(batch);
      case 'swallow':
        return never;
      case 'append and never answer':
        await log.append(batch);
        return never;
      case 'append and fail':
        await log.append(batch);
        throw new AppendError('unknown', 'no answer');
      case 'append late':
        late.push(() => log.append(batch));
        throw new AppendError('unknown', 'no answer yet');
      case 'refuse':
        throw new AppendError('refused', 'not today');
    }
  };
  return {
    append,
    next: (fault: Fault) => void faults.push(fault),
    async comeLate() {
      await Promise.all(late.map((each) => each()));
    },
  };
}

/** A served generation with a lower number beside the current one, without a projector and without readers. */
async function secondBuild(core: Core): Promise<Generation> {
  const { admin, rebuildOptions } = core;
  await core.stopProjectors();
  const projector = await startGenerationProjector(rebuildOptions, await core.serving());
  closing.push(() => projector.stop());
  const built = await admin.use((client) => createGeneration(client, rebuildOptions));
  const text = `UPDATE generations SET generation = -generation, state = 'serving' WHERE id = $1`;
  await admin.query({ text, values: [built.id] });
  return built;
}

/** Keeps a reader on a generation until the returned function is called. */
async function readerOf(core: Core, generation: Generation): Promise<() => Promise<void>> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ ...core.connection, options: `-c search_path=${core.namespace}` });
  await client.connect();
  await holdGeneration(client, core.namespace, 'read', generation.id);
  const close = () => client.end();
  closing.push(close);
  return close;
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
