import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isBlank, type LogEntry } from '../../src/log/entry.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { writeOut } from '../../src/transfer/destination.ts';
import { exportEvents } from '../../src/transfer/export.ts';
import type { FormatName } from '../../src/transfer/formats.ts';
import { importLog, type ImportOptions } from '../../src/transfer/import.ts';
import { type LogReading, openLogReading } from '../../src/transfer/log-reading.ts';
import { openRaw, rawLines } from '../../src/transfer/raw.ts';
import { selectionOf } from '../../src/transfer/selection.ts';
import {
  type Api,
  claim,
  type Core,
  embeddedSource,
  kafkaSource,
  type LogSource,
  openCore,
  withCorruptValue,
  withoutHeader,
} from '../support/core.ts';
import { eventually } from '../support/observed.ts';
import { KEYS } from '../support/keys.ts';
import { openmusic } from '../support/processes.ts';
import { createDatabase, demanded, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';

const LONG_MS = 120_000;
const PARTITIONS = 2;
const never = new AbortController().signal;

/** Where a log is, and where its copy goes. */
interface Ways {
  readonly source: LogSource;
  readonly brokers?: readonly string[];
  readonly copy: LogSource;
}

describe('openmusic log, on the embedded log', () => {
  commands(() => Promise.resolve({ source: embeddedSource, copy: embeddedSource }));
});
describeWithKafka('openmusic log, on Kafka', () => {
  commands(async () => {
    const brokers = [...(await demanded('kafka')).brokers];
    return { source: kafkaSource(brokers), brokers, copy: embeddedSource };
  });
});
describeWithKafka('openmusic log, on a laptop', () => {
  it(
    'reads the log of a broker without any other server, and exports the same bytes',
    async () => {
      const database = await createDatabase();
      const brokers = [...(await demanded('kafka')).brokers];
      const world = await openWorld(database, { source: kafkaSource(brokers), brokers, copy: embeddedSource });
      const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-laptop-'));
      try {
        const { NAMESPACE, PARTITIONS: partitions, KAFKA_BROKERS } = world.env;
        const laptop = { NAMESPACE, PARTITIONS: partitions, KAFKA_BROKERS, READ_ONLY: 'on', DATA_DIR: directory };
        const { output } = await openmusic(['log', 'export'], laptop as Record<string, string>);
        expect(output).toContain((await bytesOf(await readingOf(world.core), 'ndjson')).toString());
      } finally {
        await closeWorld(world);
        await database.drop();
        await rm(directory, { recursive: true });
      }
    },
    LONG_MS,
  );
});
describe('a raw export of the embedded log, into another one', () => {
  copies(() => Promise.resolve({ source: embeddedSource, copy: embeddedSource }));
});
describeWithKafka('a raw export of the embedded log, into Kafka', () => {
  copies(async () => ({ source: embeddedSource, copy: kafkaSource([...(await demanded('kafka')).brokers]) }));
});
describeWithKafka('a raw export of Kafka, into the embedded log', () => {
  copies(async () => ({ source: kafkaSource([...(await demanded('kafka')).brokers]), copy: embeddedSource }));
});

interface World {
  readonly core: Core;
  readonly api: Api;
  readonly env: Record<string, string>;
  readonly directory: string;
  readonly ways: Ways;
  /** An album with three versions. */
  readonly album: string;
  readonly correlation: string;
}

async function openWorld(database: TestDatabase, ways: Ways): Promise<World> {
  const core = await openCore({
    connection: database.connection,
    source: ways.source,
    partitions: PARTITIONS,
    owned: true,
  });
  const api = await core.openApi({ limits: { verdictWaitMs: 30_000 } });
  const correlation = `request-${core.namespace}`;
  const { id: album } = await api.createAlbum('Parachutes', { correlationId: correlation, actor: 'user-1' });
  for (const name of ['A Rush of Blood', '=Höyry "x"']) await api.changeAlbum(album, name);
  await api.createAlbum('X&Y', { correlationId: correlation });
  const where = core.placement.place(album);
  await core.append(where, claim({ stream: album }), withoutHeader(claim({ stream: album }), 'ce_checksum'));
  for (const at of [0, 1]) await core.append(core.catalog(at), claim({ stream: core.streamIn(at) }));
  const broken = core.streamIn(where.partition);
  await core.append(where, withCorruptValue(claim({ stream: broken })));
  await core.settled();
  const { host, port, user, password, database: name } = database.connection;
  const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-log-'));
  const login = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: name };
  const more = ways.brokers ? { KAFKA_BROKERS: ways.brokers.join(','), REDIS_URL: 'off', ...KEYS } : {};
  const env = { ...login, ...more, NAMESPACE: core.namespace, PARTITIONS: String(PARTITIONS), DATA_DIR: directory };
  return { core, api, env, directory, ways, album, correlation };
}

async function closeWorld({ core, directory }: World): Promise<void> {
  await core.close();
  await rm(directory, { recursive: true });
}

/** Reads by the read models' index; `indexed: false`: as a database that has none. */
async function readingOf({ log, placement, admin, serving }: Core, indexed = true): Promise<LogReading> {
  return openLogReading({ log, placement, admin, schema: indexed ? (await serving()).schema : undefined });
}

async function bytesOf(reading: LogReading, format: FormatName, options = {}): Promise<Buffer> {
  const selection = selectionOf(options, await reading.log.ends(reading.placement.all));
  const pieces: Uint8Array[] = [];
  for await (const piece of exportEvents(reading, selection, format).chunks) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

interface Shown {
  id: string;
  type: string;
  subject: string;
  streamversion: number;
}

function commands(waysOf: () => Promise<Ways>): void {
  let database: TestDatabase;
  let world: World;

  beforeAll(async () => {
    database = await createDatabase();
    world = await openWorld(database, await waysOf());
  }, LONG_MS);
  afterAll(async () => {
    await closeWorld(world);
    await database.drop();
  });

  const run = (...args: string[]) => openmusic(['log', ...args], world.env);
  /** Progress goes to stderr, which is part of the output here. */
  const json = async <Answer = Shown[]>(...args: string[]) => {
    const { output } = await run(...args, '--json');
    const found = /^(?:\[\]|[[{]$[\s\S]*?^[\]}]$)/m.exec(output);
    if (!found) throw new Error(output);
    return JSON.parse(found[0]) as Answer;
  };

  it(
    'counts what is accepted and lost, by topic and type',
    async () => {
      const rows = await json<{ type: string; accepted: number; lost: number; streams: number }[]>('stats');
      const of = (type: string) => rows.find((row) => row.type === type);
      expect(of('openmusic.AlbumCreated')).toMatchObject({ accepted: 5, lost: 2, streams: 5 });
      expect(of('openmusic.AlbumChanged')).toMatchObject({ accepted: 2, lost: 0, streams: 0 });
      const { output } = await run('stats');
      expect(Math.max(...output.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
    },
    LONG_MS,
  );

  it(
    'shows the events of a stream in order, and ends with 1 for a stream without any',
    async () => {
      const events = await json('show', world.album);
      expect(events.map(({ type, streamversion }) => [type, streamversion])).toEqual([
        ['openmusic.AlbumCreated', 1],
        ['openmusic.AlbumChanged', 2],
        ['openmusic.AlbumChanged', 3],
      ]);
      expect(await run('show', 'album-0')).toEqual({ code: 1, output: 'There is no stream album-0.\n' });
    },
    LONG_MS,
  );

  it(
    'finds events by type, actor, text and time',
    async () => {
      const [created] = await json('search', '--type', 'AlbumCreated', '--actor', 'user-1');
      expect(created).toMatchObject({ subject: world.album, streamversion: 1 });
      expect(await json('search', '--text', 'HÖYRY')).toMatchObject([{ subject: world.album, streamversion: 3 }]);
      expect(await json('search', '--text', 'höyry', '--to', '2020-01-01')).toEqual([]);
      expect(await json('search', '--limit', '1', '--from', '2020-01-01')).toHaveLength(1);
      expect(await run('search', '--type', 'Nothing')).toMatchObject({ code: 1 });
    },
    LONG_MS,
  );

  it(
    'prints what a request led to, and ends with 1 for an unknown one',
    async () => {
      const events = await json('trace', world.correlation);
      expect(events.map(({ type }) => type)).toEqual(['openmusic.AlbumCreated', 'openmusic.AlbumCreated']);
      expect(await run('trace', 'unknown')).toMatchObject({ code: 1 });
    },
    LONG_MS,
  );

  it(
    'tails the newest events, follows what is appended, and ends with 0 on Ctrl-C',
    async () => {
      const args = ['src/cli/openmusic.ts', 'log', 'tail', '-f', '-n', '1', '--json'];
      const child = spawn(process.execPath, args, { env: { PATH: process.env.PATH, ...world.env } });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (some) => (output += String(some)));
      await eventually('it shows the newest', () => output.split('\n').length === 2, 60_000);
      const { id } = await world.api.createAlbum('Viva la Vida');
      await eventually('it goes on', () => output.includes(id), 60_000);
      child.kill('SIGINT');
      expect(await once(child, 'close')).toEqual([0, null]);
      expect(
        output
          .trim()
          .split('\n')
          .map((line) => (JSON.parse(line) as Shown).type),
      ).toHaveLength(2);
    },
    LONG_MS,
  );

  it(
    'exports the same bytes with an index, without one, and from the command, with a manifest',
    async () => {
      const options = { type: ['AlbumCreated', 'AlbumChanged'] };
      const reading = await readingOf(world.core);
      expect(reading.isIndexed).toBe(true);
      for (const format of ['ndjson', 'csv', 'parquet'] as const) {
        const bytes = await bytesOf(reading, format, options);
        expect((await bytesOf(await readingOf(world.core, false), format, options)).equals(bytes)).toBe(true);
      }
      const out = path.join(world.directory, 'events.ndjson');
      const types = options.type.flatMap((type) => ['--type', type]);
      expect(await run('export', '--out', out, ...types)).toMatchObject({ code: 0 });
      const written = await readFile(out);
      expect(written.equals(await bytesOf(reading, 'ndjson', options))).toBe(true);
      const manifest = JSON.parse(await readFile(`${out}.manifest.json`, 'utf8')) as { events: number; bytes: number };
      expect(manifest).toMatchObject({ events: written.toString().trim().split('\n').length, bytes: written.length });
      const { output } = await run('export', ...types);
      expect(output).toContain(written.toString());
    },
    LONG_MS,
  );

  it(
    'begins in the middle of a partition, with an index and without one',
    async () => {
      const where = world.core.placement.place(world.album);
      for (const indexed of [true, false]) {
        const reading = await readingOf(world.core, indexed);
        const events: string[] = [];
        for await (const judged of reading.partition({ ...where, offset: 3 }).until(4))
          events.push(...judged.map(({ entry, lost }) => `${entry.offset} ${lost ?? 'accepted'}`));
        expect(events).toEqual(['3 accepted']);
      }
    },
    LONG_MS,
  );

  it(
    'leaves out what is appended while it is written',
    async () => {
      const reading = await readingOf(world.core);
      const ends = await reading.log.ends(reading.placement.all);
      const { chunks } = exportEvents(reading, selectionOf({}, ends), 'ndjson');
      const before = (await bytesOf(reading, 'ndjson')).toString();
      let written = '';
      for await (const chunk of chunks) {
        await world.api.createAlbum('meanwhile');
        written += Buffer.from(chunk).toString();
      }
      expect(written).toBe(before);
      expect((await bytesOf(reading, 'ndjson')).toString()).toContain('meanwhile');
    },
    LONG_MS,
  );

  it(
    'verifies the log: a value with a wrong checksum is a fault with its position',
    async () => {
      const report = await run('verify');
      expect(report).toMatchObject({ code: 2 });
      expect(report.output).toMatch(/FAULT .*@\d+: the checksum of the value is wrong/);
      expect(await json<{ faults: string[] }>('verify')).toMatchObject({
        faults: [expect.stringContaining('checksum')],
      });
    },
    LONG_MS,
  );
}

/** A place for a copy, under the same namespace, in another database. */
async function openCopy(
  { core, ways }: World,
  database: TestDatabase,
): Promise<ImportOptions & { close(): Promise<void> }> {
  const { connection } = database;
  await migrate({ connection, namespace: core.namespace });
  const admin = openDatabase(connection, { name: 'copy', max: 4, searchPath: [core.namespace, 'public'] });
  const log = await ways.copy.open(connection, core.namespace);
  const close = async () => {
    await log.close();
    await admin.stop();
  };
  return { log, placement: core.placement, database: admin, close };
}

function copies(waysOf: () => Promise<Ways>): void {
  let database: TestDatabase;
  let other: TestDatabase;
  let world: World;
  let file: string;

  beforeAll(async () => {
    database = await createDatabase();
    other = await createDatabase();
    world = await openWorld(database, await waysOf());
    const reading = await readingOf(world.core);
    file = path.join(world.directory, 'log.ndjson.gz');
    const ranges = selectionOf({}, await reading.log.ends(reading.placement.all)).ranges;
    await writeOut(rawLines(reading, ranges), file, never);
  }, LONG_MS);
  afterAll(async () => {
    await closeWorld(world);
    await database.drop();
    await other.drop();
  });

  it(
    'is imported once, continued after an interruption, and refused a second time and where other records are',
    async () => {
      const copy = await openCopy(world, other);
      try {
        const raw = await openRaw(file);
        const interrupt = () => {
          throw new Error('interrupted');
        };
        await expect(importLog({ ...copy, faults: { 'recovery-appended': interrupt } }, raw)).rejects.toThrow(
          'interrupted',
        );
        const ends = () => copy.log.ends(copy.placement.all);
        const begun = (await ends()).reduce((sum, { offset }) => sum + offset - 1, 0);
        const { written } = await importLog(copy, raw);
        expect(begun).toBeGreaterThan(0);
        const originals = await world.core.log.ends(world.core.placement.all);
        expect(begun + written).toBe(originals.reduce((sum, { offset }) => sum + offset - 1, 0));
        expect(await ends()).toEqual(originals);

        const reading = await openLogReading({ ...copy, admin: copy.database, schema: undefined });
        const bytes = await bytesOf(await readingOf(world.core), 'ndjson');
        expect((await bytesOf(reading, 'ndjson')).equals(bytes)).toBe(true);

        await expect(importLog(copy, raw)).rejects.toThrow('has been imported already');
        expect(await ends()).toEqual(originals);
        const where = world.core.placement.place(world.album);
        await copy.log.append([{ ...where, record: claim({ stream: world.core.streamIn(where.partition) }) }]);
        await expect(importLog(copy, raw)).rejects.toThrow('The log is not empty');
      } finally {
        await copy.close();
      }
    },
    LONG_MS,
  );

  it(
    'gets fillers where no record was, so that all others keep their offsets',
    async () => {
      const third = await createDatabase();
      const copy = await openCopy({ ...world, ways: { ...world.ways, copy: embeddedSource } }, third);
      try {
        const raw = await openRaw(file);
        async function* entries(): AsyncGenerator<LogEntry, void> {
          for await (const entry of raw.entries()) {
            const { topic, partition, offset, leaderEpoch } = entry;
            const isOurs = isBlank(entry) || entry.headers.ce_checksum !== undefined;
            const marker = {
              topic,
              partition,
              offset,
              last: offset,
              leaderEpoch,
              blank: 'control',
              reason: 'x',
            } as const;
            yield isOurs ? entry : marker;
          }
        }
        expect(await importLog(copy, { ...raw, entries })).toMatchObject({ filled: 1 });
        expect(await copy.log.ends(copy.placement.all)).toEqual(await world.core.log.ends(copy.placement.all));
        const reading = await openLogReading({ ...copy, admin: copy.database, schema: undefined });
        const bytes = await bytesOf(await readingOf(world.core), 'ndjson');
        expect((await bytesOf(reading, 'ndjson')).equals(bytes)).toBe(true);
      } finally {
        await copy.close();
        await third.drop();
      }
    },
    LONG_MS,
  );

  it(
    'is refused when it was changed, is cut short, or is of other topics',
    async () => {
      const { log, placement, admin } = world.core;
      const plain = path.join(world.directory, 'log.ndjson');
      const reading = await readingOf(world.core);
      const text: string[] = [];
      for await (const lines of rawLines(reading, selectionOf({}, await log.ends(placement.all)).ranges))
        text.push(lines);
      const importing = async (content: string) => {
        await writeFile(plain, content);
        return importLog({ log, placement, database: admin }, await openRaw(plain));
      };
      const [lines, ends] = [text.join(''), await log.ends(placement.all)];
      const wrongHash = importing(lines.replace('"sha256":"', '"sha256":"x'));
      await expect(wrongHash).rejects.toThrow('was changed since it was exported');
      await expect(importing(lines.split('\n').slice(0, -2).join('\n'))).rejects.toThrow('its last line is missing');
      const renamed = importing(lines.replace(`"${world.core.namespace}"`, '"another"'));
      await expect(renamed).rejects.toThrow('set NAMESPACE=another');
      await expect(importing('{"format":"ndjson"}\n')).rejects.toThrow('no raw export');
      expect(await log.ends(placement.all)).toEqual(ends);
    },
    LONG_MS,
  );
}
