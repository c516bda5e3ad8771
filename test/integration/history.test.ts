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
  startChecking,
  type Violation,
  withEvidence,
} from '../support/history/index.ts';
import { idIn, type Planting, plantIn, versionIn } from '../support/history/planting.ts';
import { performScript, type Script } from '../support/history/scripted.ts';
import type { Person } from '../support/history/history.ts';
import { freePort } from '../support/ports.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';

let directory: string;
let env: Record<string, string>;
let app: OpenMusicProcess;
let history: History;
let records: readonly StoredRecord[];
let placement: Placement;
let plant: Planting;
let script: Script;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'openmusic-history-'));
  env = { DATA_DIR: directory, PARTITIONS: '2' };
  app = await startProcess({ env: { ...env, REDIS_URL: 'off' } }); // faults are planted in the tables, behind the cache
  const recorded = await recordHistory({ urls: [app.url] }, async (load) => {
    await load.served({ writes: 200, reads: 200 });
  });
  script = await performScript(app.url);
  history = { ...recorded, operations: [...recorded.operations, ...script.operations] };
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
const changed = (name: string): AnyEvent => ({ type: 'AlbumChanged', albumId: 'album-1', name, year: 2000 });
const isList = ({ request }: Operation) => request.path.startsWith('/songs?');

it('the checker finds no violation in an honest history', async () => {
  expect(await checkServed(history, { env, urls: [app.url] })).toEqual([]);
});

it('the checker uses what is known from earlier histories of the same log', async () => {
  const check = startChecking({ env, urls: [app.url], rebuild: false });
  expect(await check(history)).toEqual([]);
  const now = (read: Operation): History => {
    const [start, end] = [performance.now() - 1, performance.now()];
    return { ...history, operations: [{ ...read, attempts: read.attempts.map((each) => ({ ...each, start, end })) }] };
  };
  expect(await check(now(plant.readOf(plant.living.at(-1)!, 1)))).toEqual([]);
  expect(names(await check(now(plant.readOf(plant.living[0]!, 1))))).toEqual(['stale-read']);
  expect(names(await check(now(plant.readOf(plant.deleted.at(-2)!, 1))))).toEqual(['deleted-shown']);
});

it('the checker finds a process that does not answer at the end', async () => {
  const urls = [app.url, `http://127.0.0.1:${await freePort()}`];
  const violations = await withEvidence(env, (evidence) => checkHistory(history, { ...evidence, urls }));
  expect(names(violations)).toEqual(['unexpected-answer']);
});

describe('a fault planted in writes is found by its name:', () => {
  it('an acknowledged record that is not in the log', () => {
    const last = plant.living.at(-1);
    const log = records.filter((record) => record !== last);
    expect(found(history, log)).toContain('lost-write');
  });

  it('a refusal reported as a success', () => {
    const isRefused = (operation: Operation) =>
      operation.request.effect !== undefined && outcomeOf(operation) === 'refused' && operation.attempts.length === 1;
    expect(found(plant.answered(plant.some(isRefused), ok({})))).toEqual(['lost-write']);
  });

  it('a refusal of something that happened', () => {
    const written = plant.maker(plant.living.at(-1)!);
    const refused = { kind: 'refused', status: 409, code: 'CONFLICT' } as const;
    expect(found(plant.answered(written, refused))).toEqual(['refused-write-present']);
    const nothingHappened = { kind: 'refused', status: 503, code: 'LOG_UNAVAILABLE' } as const;
    expect(found(plant.answered(written, nothingHappened))).toEqual(['refused-write-present']);
  });

  it('no fault: an unknown outcome may have happened', () => {
    expect(check(plant.answered(plant.maker(plant.living.at(-1)!), unknown))).toEqual([]);
  });

  it('a second effect of one request, and of one command', () => {
    const last = plant.living.at(-1)!;
    const { ce_commandid: commandId, ce_correlationid: correlationId } = last.headers;
    const next = { event: changed('again'), version: versionIn(last) + 1, prev: idIn(last) };
    expect(found(history, plant.forged(last, { ...next, correlationId }))).toContain('doubled-effect');
    expect(found(history, plant.forged(last, { ...next, commandId }))).toContain('doubled-effect');
  });

  it('no fault: a duplicate record lost the second time', () => {
    expect(check(history, plant.repeated(plant.living.at(-1)!))).toEqual([]);
  });

  it('a record without a request', () => {
    const last = plant.living.at(-1)!;
    const log = plant.forged(last, {
      event: changed('without a request'),
      version: versionIn(last) + 1,
      prev: idIn(last),
    });
    expect(found(history, log)).toContain('unrequested-record');
  });

  it('a record that differs from its request', () => {
    const written = plant.maker(plant.living.at(-1)!);
    const effect = { ...written.request.effect, event: { type: 'AlbumChanged', name: 'another' } } as const;
    expect(found(plant.replacing(written, { request: { ...written.request, effect } }))).toEqual(['wrong-record']);
    const follows = { ...written.request, effect: { ...written.request.effect!, follows: 99 } };
    expect(found(plant.replacing(written, { request: follows }))).toEqual(['wrong-record']);
  });

  it('a missing offset', () => {
    const log = records.map((record) => (record.offset > 5 ? { ...record, offset: record.offset + 1 } : record));
    expect(found(history, log)).toEqual(['gap-in-offsets']);
  });

  it('a claim to a version whose predecessor could not be known', () => {
    const last = plant.living.at(-1)!;
    const log = plant.forged(last, { event: changed('too far'), version: versionIn(last) + 2, prev: newId() });
    expect(found(history, log)).toEqual(['gap-in-versions', 'unrequested-record']);
  });

  it('a header or a value that is not what was written', () => {
    const last = plant.living.at(-1)!;
    const broken = (by: Partial<StoredRecord>) =>
      found(history, records.with(records.indexOf(last), { ...last, ...by }));
    expect(broken({ headers: { ...last.headers, ce_actor: 'unknown' } })).toContain('broken-record');
    expect(broken({ value: Buffer.concat([last.value, Buffer.from([1])]) })).toContain('broken-record');
  });

  it('a write ordered before what was known when it began', () => {
    const [first] = plant.living;
    const written = plant.maker(first!);
    const { start, end } = plant.readOf(first!, 1).attempts[0]!;
    const attempts = written.attempts.map((each) => ({ ...each, start, end }));
    expect(found(plant.replacing(written, { attempts }))).toContain('late-write');
  });
});

describe('a fault planted in reads is found by its name:', () => {
  it('a value older than an earlier answer', () => {
    expect(check(plant.adding(plant.readOf(plant.living.at(-1)!, 1)))).toEqual([]);
    expect(found(plant.adding(plant.readOf(plant.living[0]!, 1)))).toEqual(['stale-read']);
  });

  it('a value older than an earlier read, where the write has an unknown outcome', () => {
    const [before, last] = [plant.living.at(-2)!, plant.living.at(-1)!];
    const { operations } = plant.answered(plant.maker(last), unknown);
    const tells = ({ attempts }: Operation) => attempts.some(({ outcome }) => 'etag' in outcome && outcome.etag);
    const others = operations.filter((each) => each.request.method !== 'GET' && !tells(each)); // a 412 shows the version too
    const [newer, older] = [plant.readOf(last, 1), plant.readOf(before, 2)];
    expect(check({ ...history, operations: [...others, older] })).toEqual([]);
    expect(found({ ...history, operations: [...others, newer, older] })).toEqual(['stale-read']);
  });

  it('a deleted value', () => {
    expect(found(plant.adding(plant.readOf(plant.deleted.at(-2)!, 1)))).toEqual(['deleted-shown']);
  });

  it('a missing value that exists', () => {
    const read = plant.readOf(plant.living.at(-1)!, 1);
    const outcome = { kind: 'refused', status: 404, code: 'ALBUM_NOT_FOUND' } as const;
    const attempts = read.attempts.map((attempt) => ({ ...attempt, outcome }));
    expect(found(plant.adding({ ...read, attempts }))).toEqual(['stale-read']);
  });

  it('a value that was not requested yet', () => {
    const last = plant.living.at(-1)!;
    const { start } = plant.maker(last).attempts[0]!;
    const read = plant.readOf(last, 1);
    const attempts = read.attempts.map((attempt) => ({ ...attempt, start: start - 1, end: start - 0.5 }));
    expect(found(plant.adding({ ...read, attempts }))).toEqual(['early-read']);
  });

  it('another value than the version has', () => {
    const isAlbum = ({ request }: Operation) => request.method === 'GET' && /^\/albums\/[^/]+$/.test(request.path);
    const read = plant.some((operation) => isAlbum(operation) && outcomeOf(operation) === 'ok');
    const text = JSON.stringify(read.attempts[0]!.outcome).replace(/"name":"[^"]*"/, '"name":"another"');
    expect(found(plant.answered(read, JSON.parse(text) as Outcome))).toEqual(['wrong-value']);
  });

  it('a list with missing and with extra entries', () => {
    const list = plant.some(({ request }) => request.path.endsWith('Another%20band'));
    expect(found(plant.answered(list, ok({ data: { songs: [] } })))).toEqual(['stale-read']);
    const { body } = list.attempts[0]!.outcome as { body: { data: { songs: object[] } } };
    const songs = [...body.data.songs, { id: 'song-never-made', title: 'Song', performer: 'Performer' }];
    expect(found(plant.answered(list, ok({ data: { songs } })))).toEqual(['wrong-value']);
  });

  it('an answer of another shape, and an internal error', () => {
    const list = plant.some(isList);
    expect(found(plant.answered(list, ok({ status: 'success' })))).toEqual(['unexpected-answer']);
    const failed = { kind: 'unknown', status: 500, why: '500 INTERNAL_ERROR' } as const;
    expect(found(plant.answered(list, failed))).toEqual(['unexpected-answer']);
  });
});

/** The last answer that a person got there in the script. */
const scripted = (path: string, { id }: Person): Operation =>
  script.operations.findLast(({ request }) => request.path === path && request.as?.id === id)!;

describe('a fault planted in writes of users is found by its name:', () => {
  const refused = (status: number, code: string): Outcome => ({ kind: 'refused', status, code });
  const songs = () => `/playlists/${script.playlist}/songs`;
  const addition = (songId: string, title: string): AnyEvent => ({
    type: 'SongsAddedToPlaylist',
    playlistId: script.playlist,
    rekeyed: [],
    entries: [{ entryId: 'entry-another', songId, title, orderKey: 'z' }],
  });
  /** One more song in the playlist of the script, added by one of its people. */
  const added = ({ id }: Person, songId = 'song-another') => {
    const last = plant.chain(script.playlist).at(-1)!;
    const event = addition(songId, 'Another');
    return plant.forged(last, { event, version: versionIn(last) + 1, prev: idIn(last), actor: id });
  };

  it('a song added by a former collaborator, and one that is in the playlist already', () => {
    expect(found(history, added(script.owner))).toEqual(['unrequested-record']);
    expect(found(history, added(script.former))).toEqual(['illegal-record', 'unrequested-record']);
    const again = (scripted(songs(), script.owner).attempts[0]!.outcome as { body: Shown }).body.data.playlist
      .songs[0]!;
    expect(found(history, added(script.owner, again.id))).toEqual(['illegal-record', 'unrequested-record']);
  });

  it('a playlist shared by a user who is not its owner', () => {
    const last = plant.chain(script.playlist).at(-1)!;
    const event: AnyEvent = {
      type: 'CollaboratorAdded',
      playlistId: script.playlist,
      collaborationId: 'collab-1',
      accountId: script.former.id,
    };
    const forgery = { event, version: versionIn(last) + 1, prev: idIn(last), actor: script.former.id };
    expect(found(history, plant.forged(last, forgery))).toEqual(['illegal-record', 'unrequested-record']);
  });

  it('a second like by the same user', () => {
    const { request } = scripted(`/albums/${script.album}/likes`, script.owner);
    const [liked] = plant.chain(request.effect!.stream!);
    const event = { ...(request.effect!.event as AnyEvent) };
    const twice = plant.forged(liked!, { event, version: 2, prev: idIn(liked!), actor: script.owner.id });
    expect(found(history, twice)).toEqual(['illegal-record', 'unrequested-record']);
  });

  it('a record in the name of another user', () => {
    const shared = scripted('/collaborations', script.owner);
    expect(found(plant.replacing(shared, { request: { ...shared.request, as: script.former } }))).toEqual([
      'wrong-record',
    ]);
  });

  it('a title that the song never had', () => {
    const last = plant
      .chain(script.playlist)
      .findLast(({ headers }) => headers.ce_type?.endsWith('SongsAddedToPlaylist'))!;
    const request = plant.maker(last).request.json as { songId: string };
    const event = addition(request.songId, 'Never');
    expect(found(history, plant.rewritten(last, event))).toContain('wrong-value');
  });

  it('a refusal of something that happened, and one with an unknown code', () => {
    const shared = scripted('/collaborations', script.owner);
    expect(found(plant.answered(shared, refused(403, 'FORBIDDEN')))).toContain('refused-write-present');
    const { request } = shared;
    const asked = plant.later(
      { name: '', request, attempts: [{ ...shared.attempts[0]!, outcome: refused(400, 'ODD') }] },
      1,
    );
    expect(found(plant.adding(asked))).toEqual(['unexpected-answer']);
  });

  it('a refusal for a reason that does not hold', () => {
    const liking = scripted(`/albums/${script.album}/likes`, script.owner);
    const asked = (code: string, status = 400) =>
      found(
        plant.adding(
          plant.later({ ...liking, attempts: [{ ...liking.attempts[0]!, outcome: refused(status, code) }] }, 1),
        ),
      );
    expect(asked('ALREADY_LIKED')).toEqual([]);
    expect(asked('NOT_LIKED')).toEqual(['stale-read']);
    expect(asked('ALBUM_NOT_FOUND', 404)).toEqual(['stale-read']);
  });
});

interface Shown {
  readonly data: {
    readonly playlist: { readonly songs: readonly { readonly id: string }[] };
    readonly playlists: readonly object[];
    readonly activities: readonly object[];
    readonly likes: number;
  };
}

describe('a fault planted in reads of users is found by its name:', () => {
  /** The violations when the owner's last answer there is replaced. */
  const foundWhen = (path: string, change: (data: Shown['data']) => object, person = script.owner): Rule[] => {
    const read = scripted(path, person);
    const outcome = read.attempts[0]!.outcome as Extract<Outcome, { kind: 'ok' }>;
    const { data } = outcome.body as Shown;
    return found(plant.answered(read, { ...outcome, body: { status: 'success', data: { ...data, ...change(data) } } }));
  };
  const partOf = (what: string) => `/playlists/${script.playlist}/${what}`;

  it('songs in another order, or with one missing', () => {
    const songs = (change: (all: Shown['data']['playlist']['songs']) => readonly object[]) =>
      foundWhen(partOf('songs'), ({ playlist }) => ({ playlist: { ...playlist, songs: change(playlist.songs) } }));
    expect(songs((all) => all)).toEqual([]);
    expect(songs((all) => all.toReversed())).toEqual(['wrong-value']);
    expect(songs(([, ...others]) => others)).toEqual(['stale-read']);
    expect(songs(([first, ...others]) => [{ ...first, title: 'Another' }, ...others])).toEqual(['wrong-value']);
  });

  it('activities without the last one, or with one twice', () => {
    const activities = (change: (all: readonly object[]) => readonly (object | undefined)[]) =>
      foundWhen(partOf('activities'), (data) => ({ activities: change(data.activities) }));
    expect(activities((all) => all.slice(0, -1))).toEqual(['stale-read']);
    expect(activities((all) => [...all, all.at(-1)])).toEqual(['wrong-value']);
  });

  it('a list of playlists without one, with one twice, or in the name of another user', () => {
    const list = (change: (all: readonly object[]) => readonly (object | undefined)[]) =>
      foundWhen('/playlists', (data) => ({ playlists: change(data.playlists) }));
    expect(list(() => [])).toEqual(['stale-read']);
    expect(list((all) => [...all, ...all])).toEqual(['wrong-value']);
    expect(list((all) => all.map((each) => ({ ...each, username: 'unknown' })))).toEqual(['wrong-value']);
  });

  it('any read of a collaborator after removal', () => {
    const before = (path: string) =>
      script.operations.find(
        ({ request }) => request.path === path && request.as?.id === script.former.id && !request.effect,
      )!;
    for (const path of ['/playlists', partOf('songs'), partOf('activities')]) {
      expect(outcomeOf(before(path))).toBe('ok');
      expect(found(plant.adding(plant.later(before(path), 1)))).toEqual(['stale-read']);
    }
    const now = scripted(partOf('songs'), script.owner);
    const his = { ...plant.later(now, 1), request: { ...now.request, as: script.former } };
    expect(found(plant.adding(his))).toEqual(['wrong-value']);
  });

  it('an owner without access', () => {
    const forbidden = { kind: 'refused', status: 403, code: 'FORBIDDEN' } as const;
    for (const what of ['songs', 'activities'])
      expect(found(plant.answered(scripted(partOf(what), script.owner), forbidden))).toEqual(['wrong-value']);
  });

  it('an outdated count of likes, and one that never was', () => {
    const counted = plant.some(
      ({ request }) => request.method === 'GET' && request.path === `/albums/${script.album}/likes`,
    );
    const likes = (shown: number) => found(plant.answered(counted, ok({ data: { likes: shown } })));
    expect([1, 2, 3].map(likes)).toEqual([['stale-read'], [], ['wrong-value']]);
  });
});

describe('a fault planted in the tables is found by its name:', () => {
  /** The violations while the tables of the served generation differ from the log. */
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

  it('a row that differs, also where it is read, and where it is rebuilt', async () => {
    const { key } = plant.living[0]!;
    const rename = (name: string) => `UPDATE $albums SET name = ${name} WHERE id = '${key}'`;
    const rebuild = () => openmusic(['projections', 'rebuild'], env);
    const rules = await foundWith(rename(`name || '!'`), rename('left(name, -1)'), { urls: [app.url], rebuild });
    expect(rules).toEqual(['rebuild-differs', 'rows-differ', 'wrong-value']);
  });

  it('a missing row', async () => {
    const { key } = plant.living[0]!;
    const rename = (from: string, to: string) => `UPDATE $albums SET id = '${to}' WHERE id = '${from}'`;
    const rules = await foundWith(rename(key, 'elsewhere'), rename('elsewhere', key), { urls: [app.url] });
    expect(rules).toEqual(['rows-differ', 'stale-read']);
  });

  it('an extra row', async () => {
    const insert = `INSERT INTO $albums VALUES ('album-without-record', 1, 'Album', 2000, NULL)`;
    expect(await foundWith(insert, `DELETE FROM $albums WHERE id = 'album-without-record'`)).toEqual(['rows-differ']);
  });

  it('an accepted record that differs in stream_events', async () => {
    const move = (by: number) =>
      `UPDATE $stream_events SET "offset" = "offset" + ${by} WHERE stream = '${plant.living[0]!.key}'`;
    expect(await foundWith(move(1), move(-1))).toEqual(['stream-events-differ']);
  });

  it('a stopped partition', async () => {
    const stop = (reason: string) => `UPDATE $checkpoints SET stopped = ${reason} WHERE partition = 0`;
    expect(await foundWith(stop(`'planted'`), stop('NULL'))).toEqual(['checkpoint-differs']);
  });

  it('songs in another order, in the table and in reads', async () => {
    const swap = (one: string, other: string) =>
      `UPDATE $playlist_entries SET order_key = translate(order_key, '${one}', '${other}') WHERE playlist_id = '${script.playlist}'`;
    expect(await foundWith(swap('02', '20'), swap('02', '20'), { urls: [app.url] })).toEqual([
      'rows-differ',
      'wrong-value',
    ]);
  });

  it('a former collaborator who has access again, and reads', async () => {
    const id = `${script.playlist}/${script.former.id}`;
    const insert = `INSERT INTO $collaborations VALUES ('${id}', '${script.playlist}', '${script.former.id}')`;
    const rules = await foundWith(insert, `DELETE FROM $collaborations WHERE id = '${id}'`, { urls: [app.url] });
    expect(rules).toEqual(['rows-differ', 'stale-read', 'wrong-value']);
  });

  it('an activity with another time, a like of another album, and a wrong count', async () => {
    const time = (minutes: number) => `UPDATE $playlist_activities SET time = time + interval '${minutes} minutes'`;
    expect(await foundWith(time(1), time(-1), { urls: [app.url] })).toEqual(['rows-differ', 'wrong-value']);
    const move = (by: string) => `UPDATE $likes SET liked_id = ${by}`;
    expect(await foundWith(move(`liked_id || '!'`), move('left(liked_id, -1)'))).toEqual(['rows-differ']);
    const more = (by: number) => `UPDATE $like_counts SET likes = likes + ${by} WHERE liked_id = '${script.album}'`;
    expect(await foundWith(more(1), more(-1), { urls: [app.url] })).toEqual(['rows-differ', 'wrong-value']);
  });

  it('a quarantined stream', async () => {
    const insert = `INSERT INTO $quarantine SELECT stream, version, record_id, topic, partition, "offset", 'planted'
      FROM $stream_events WHERE version = 1 LIMIT 1`;
    expect(await foundWith(insert, 'DELETE FROM $quarantine')).toEqual(['quarantined']);
  });

  it('a table that no category describes', async () => {
    await expect(foundWith('CREATE TABLE $parcels ()', 'DROP TABLE $parcels')).rejects.toThrow(
      /describes the table parcels/,
    );
  });
});
