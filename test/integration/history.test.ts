import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AnyEvent } from '../../src/events/events.ts';
import { newId } from '../../src/events/ids.ts';
import type { Placement } from '../../src/events/placement.ts';
import type { StoredRecord } from '../../src/events/record.ts';
import {
  checkAgainstLog,
  checkHistory,
  checkServed,
  type Evidence,
  type History,
  type Operation,
  type Outcome,
  readLog,
  recordHistory,
  type Rule,
  servingSchema,
  type Violation,
  withEvidence,
} from '../support/history/index.ts';
import { idIn, type Planting, plantIn, versionIn } from '../support/history/planting.ts';
import { performScript } from '../support/history/scripted.ts';
import { freePort } from '../../src/stack/ports.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';

let directory: string;
let env: Record<string, string>;
let app: OpenMusicProcess;
let history: History;
let records: readonly StoredRecord[];
let placement: Placement;
let plant: Planting;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'openmusic-history-'));
  env = { DATA_DIR: directory, PARTITIONS: '2' };
  app = await startProcess({ env });
  const recorded = await recordHistory({ urls: [app.url] }, async (load) => {
    await load.served({ writes: 200, reads: 200 });
  });
  history = { ...recorded, operations: [...recorded.operations, ...(await performScript(app.url))] };
  await withEvidence(env, async (evidence) => {
    placement = evidence.placement;
    records = await readLog(evidence.log, placement);
  });
  plant = plantIn(history, records);
}, 120_000);

afterAll(async () => {
  await app.end('SIGTERM');
  await rm(directory, { recursive: true, force: true });
});

const names = (violations: readonly Violation[]): Rule[] => [...new Set(violations.map(({ rule }) => rule))].sort();
const check = (of: History, log = records): Violation[] => checkAgainstLog(of, log, placement);
const found = (of: History, log = records): Rule[] => names(check(of, log));

const outcomeOf = ({ attempts: [first] }: Operation): Outcome['kind'] | undefined => first?.outcome.kind;
const ok = (body: unknown): Outcome => ({ kind: 'ok', status: 200, replayed: false, body });
const unknown: Outcome = { kind: 'unknown', why: 'the client gave up' };
const changed = (name: string): AnyEvent => ({ type: 'AlbumChanged', name, year: 2000 });
const isList = ({ wish }: Operation) => wish.path.startsWith('/songs?');

it('an honest history has no violation', async () => {
  expect(await checkServed(history, { env, urls: [app.url] })).toEqual([]);
});

it('a process that does not answer when all is over is found', async () => {
  const urls = [app.url, `http://127.0.0.1:${await freePort()}`];
  const violations = await withEvidence(env, (evidence) => checkHistory(history, { ...evidence, urls }));
  expect(names(violations)).toEqual(['unexpected-answer']);
});

describe('found by its name is a fault planted in what was written:', () => {
  it('an acknowledged record that is not in the log', () => {
    const last = plant.living.at(-1);
    const log = records.filter((record) => record !== last);
    expect(found(history, log)).toContain('lost-write');
  });

  it('a refusal told as a success', () => {
    const isRefused = (operation: Operation) =>
      operation.wish.effect !== undefined && outcomeOf(operation) === 'refused' && operation.attempts.length === 1;
    expect(found(plant.answered(plant.some(isRefused), ok({})))).toEqual(['lost-write']);
  });

  it('a refusal of what has happened', () => {
    const written = plant.maker(plant.living.at(-1)!);
    const refused = { kind: 'refused', status: 409, code: 'CONFLICT' } as const;
    expect(found(plant.answered(written, refused))).toEqual(['refused-write-present']);
    const nothingHappened = { kind: 'refused', status: 503, code: 'LOG_UNAVAILABLE' } as const;
    expect(found(plant.answered(written, nothingHappened))).toEqual(['refused-write-present']);
  });

  it('none: of an unknown outcome what happened may have happened', () => {
    expect(check(plant.answered(plant.maker(plant.living.at(-1)!), unknown))).toEqual([]);
  });

  it('a second effect of one request, and of one command', () => {
    const last = plant.living.at(-1)!;
    const { ce_commandid: commandId, ce_correlationid: correlationId } = last.headers;
    const next = { event: changed('again'), version: versionIn(last) + 1, prev: idIn(last) };
    expect(found(history, plant.forged(last, { ...next, correlationId }))).toContain('doubled-effect');
    expect(found(history, plant.forged(last, { ...next, commandId }))).toContain('doubled-effect');
  });

  it('none: a record that stands twice lost the second time', () => {
    expect(check(history, plant.repeated(plant.living.at(-1)!))).toEqual([]);
  });

  it('a record that no request made', () => {
    const last = plant.living.at(-1)!;
    const log = plant.forged(last, { event: changed('by nobody'), version: versionIn(last) + 1, prev: idIn(last) });
    expect(found(history, log)).toContain('unrequested-record');
  });

  it('a record that is not what was asked for', () => {
    const written = plant.maker(plant.living.at(-1)!);
    const effect = { ...written.wish.effect, event: { type: 'AlbumChanged', name: 'another' } } as const;
    expect(found(plant.replacing(written, { wish: { ...written.wish, effect } }))).toEqual(['wrong-record']);
    const follows = { ...written.wish, effect: { ...written.wish.effect!, follows: 99 } };
    expect(found(plant.replacing(written, { wish: follows }))).toEqual(['wrong-record']);
  });

  it('an offset that is missing', () => {
    const log = records.map((record) => (record.offset > 5 ? { ...record, offset: record.offset + 1 } : record));
    expect(found(history, log)).toEqual(['gap-in-offsets']);
  });

  it('a claim to a version that nobody can have seen the one before of', () => {
    const last = plant.living.at(-1)!;
    const log = plant.forged(last, { event: changed('too far'), version: versionIn(last) + 2, prev: newId() });
    expect(found(history, log)).toEqual(['gap-in-versions', 'unrequested-record']);
  });

  it('a header or a value that is not what was written', () => {
    const last = plant.living.at(-1)!;
    const broken = (by: Partial<StoredRecord>) =>
      found(history, records.with(records.indexOf(last), { ...last, ...by }));
    expect(broken({ headers: { ...last.headers, ce_actor: 'somebody' } })).toContain('broken-record');
    expect(broken({ value: Buffer.concat([last.value, Buffer.from([1])]) })).toContain('broken-record');
  });

  it('a write that was put before what was known when it began', () => {
    const [first] = plant.living;
    const written = plant.maker(first!);
    const { start, end } = plant.readOf(first!, 1).attempts[0]!;
    const attempts = written.attempts.map((each) => ({ ...each, start, end }));
    expect(found(plant.replacing(written, { attempts }))).toContain('late-write');
  });
});

describe('found by its name is a fault planted in what was read:', () => {
  it('something older than an answer before it', () => {
    expect(check(plant.adding(plant.readOf(plant.living.at(-1)!, 1)))).toEqual([]);
    expect(found(plant.adding(plant.readOf(plant.living[0]!, 1)))).toEqual(['stale-read']);
  });

  it('something older than another read before it, where the write has an unknown outcome', () => {
    const [before, last] = [plant.living.at(-2)!, plant.living.at(-1)!];
    const { operations } = plant.answered(plant.maker(last), unknown);
    const tells = ({ attempts }: Operation) => attempts.some(({ outcome }) => 'etag' in outcome && outcome.etag);
    const others = operations.filter((each) => each.wish.method !== 'GET' && !tells(each)); // a 412 tells the version too
    const [newer, older] = [plant.readOf(last, 1), plant.readOf(before, 2)];
    expect(check({ ...history, operations: [...others, older] })).toEqual([]);
    expect(found({ ...history, operations: [...others, newer, older] })).toEqual(['stale-read']);
  });

  it('something that was deleted', () => {
    expect(found(plant.adding(plant.readOf(plant.deleted.at(-2)!, 1)))).toEqual(['deleted-shown']);
  });

  it('that something is not there which is', () => {
    const read = plant.readOf(plant.living.at(-1)!, 1);
    const outcome = { kind: 'refused', status: 404, code: 'ALBUM_NOT_FOUND' } as const;
    const attempts = read.attempts.map((attempt) => ({ ...attempt, outcome }));
    expect(found(plant.adding({ ...read, attempts }))).toEqual(['stale-read']);
  });

  it('something that nobody had asked for yet', () => {
    const last = plant.living.at(-1)!;
    const { start } = plant.maker(last).attempts[0]!;
    const read = plant.readOf(last, 1);
    const attempts = read.attempts.map((attempt) => ({ ...attempt, start: start - 1, end: start - 0.5 }));
    expect(found(plant.adding({ ...read, attempts }))).toEqual(['early-read']);
  });

  it('another value than the version has', () => {
    const isAlbum = ({ wish }: Operation) => wish.method === 'GET' && wish.path.startsWith('/albums/');
    const read = plant.some((operation) => isAlbum(operation) && outcomeOf(operation) === 'ok');
    const text = JSON.stringify(read.attempts[0]!.outcome).replace(/"name":"[^"]*"/, '"name":"another"');
    expect(found(plant.answered(read, JSON.parse(text) as Outcome))).toEqual(['wrong-value']);
  });

  it('a list without what belongs into it, and with what does not', () => {
    const list = plant.some(({ wish }) => wish.path.endsWith('Nobody%20else'));
    expect(found(plant.answered(list, ok({ data: { songs: [] } })))).toEqual(['stale-read']);
    const { body } = list.attempts[0]!.outcome as { body: { data: { songs: object[] } } };
    const songs = [...body.data.songs, { id: 'song-nobody-made', title: 'Song', performer: 'Performer' }];
    expect(found(plant.answered(list, ok({ data: { songs } })))).toEqual(['wrong-value']);
  });

  it('an answer of another shape, and an internal error', () => {
    const list = plant.some(isList);
    expect(found(plant.answered(list, ok({ status: 'success' })))).toEqual(['unexpected-answer']);
    const failed = { kind: 'unknown', status: 500, why: '500 INTERNAL_ERROR' } as const;
    expect(found(plant.answered(list, failed))).toEqual(['unexpected-answer']);
  });
});

describe('found by its name is a fault planted in the tables:', () => {
  /** What is found while the tables of the served build are not what the log makes of them. */
  const foundWith = (plantIt: string, takeBack: string, more: Partial<Evidence> = {}): Promise<Rule[]> =>
    withEvidence(env, async (evidence) => {
      const schema = await servingSchema(evidence.admin);
      const run = (sql: string) => evidence.admin.query({ text: sql.replaceAll('$', `"${schema}".`) });
      await run(plantIt);
      try {
        return names(await checkHistory(history, { ...evidence, urls: [], ...more }));
      } finally {
        await run(takeBack);
      }
    });

  it('a row that is another, also where it is read, and where it is rebuilt', async () => {
    const { key } = plant.living[0]!;
    const rename = (name: string) => `UPDATE $albums SET name = ${name} WHERE id = '${key}'`;
    const rebuild = () => openmusic(['projections', 'rebuild'], env);
    const rules = await foundWith(rename(`name || '!'`), rename('left(name, -1)'), { urls: [app.url], rebuild });
    expect(rules).toEqual(['rebuild-differs', 'rows-differ', 'wrong-value']);
  });

  it('a row that is missing', async () => {
    const { key } = plant.living[0]!;
    const rename = (from: string, to: string) => `UPDATE $albums SET id = '${to}' WHERE id = '${from}'`;
    const rules = await foundWith(rename(key, 'elsewhere'), rename('elsewhere', key), { urls: [app.url] });
    expect(rules).toEqual(['rows-differ', 'stale-read']);
  });

  it('a row that is too much', async () => {
    const insert = `INSERT INTO $albums VALUES ('album-of-nobody', 1, 'Album', 2000)`;
    expect(await foundWith(insert, `DELETE FROM $albums WHERE id = 'album-of-nobody'`)).toEqual(['rows-differ']);
  });

  it('an accepted record that stream_events does not have as it is', async () => {
    const move = (by: number) =>
      `UPDATE $stream_events SET "offset" = "offset" + ${by} WHERE stream = '${plant.living[0]!.key}'`;
    expect(await foundWith(move(1), move(-1))).toEqual(['stream-events-differ']);
  });

  it('a partition that is stopped', async () => {
    const stop = (reason: string) => `UPDATE $checkpoints SET stopped = ${reason} WHERE partition = 0`;
    expect(await foundWith(stop(`'planted'`), stop('NULL'))).toEqual(['checkpoint-differs']);
  });

  it('a stream that is quarantined', async () => {
    const insert = `INSERT INTO $quarantine SELECT stream, version, record_id, topic, partition, "offset", 'planted'
      FROM $stream_events WHERE version = 1 LIMIT 1`;
    expect(await foundWith(insert, 'DELETE FROM $quarantine')).toEqual(['quarantined']);
  });

  it('a table that no category describes', async () => {
    await expect(foundWith('CREATE TABLE $likes ()', 'DROP TABLE $likes')).rejects.toThrow(/describes the table likes/);
  });
});
