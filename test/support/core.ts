import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createAppender } from '../../src/event-store/appender.ts';
import { type Commands, createCommands } from '../../src/commands/commands.ts';
import type { CommandOrigin, CommandOutcome } from '../../src/commands/command.ts';
import type { HandlerLimits } from '../../src/commands/handle.ts';
import { createPostgresStreams } from '../../src/event-store/postgres-streams.ts';
import { createVerdicts } from '../../src/event-store/verdicts.ts';
import { encodeEvent, subjectOf } from '../../src/events/codec.ts';
import { toRecord } from '../../src/events/envelope.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { newId, idFromCommand } from '../../src/events/ids.ts';
import type { CommitNotice } from '../../src/events/commit-notice.ts';
import { createPlacement, type Placement } from '../../src/events/placement.ts';
import type { LogRecord, Position, StoredRecord, TopicPartition } from '../../src/events/record.ts';
import { openLogUnder } from '../../src/log/embedded.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { initLog } from '../../src/log/init.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { readOwner } from '../../src/log/owner.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { Consumers } from '../../src/projections/engine/consumers.ts';
import type { GenerationProjectorOptions } from '../../src/projections/engine/generation-projector.ts';
import {
  type GenerationProjectors,
  type GenerationProjectorsOptions,
  startGenerationProjectors,
} from '../../src/projections/engine/generation-projectors.ts';
import { type Generation, servingGenerations } from '../../src/projections/generations/generations.ts';
import type { Projection } from '../../src/projections/engine/table.ts';
import { projections as allProjections, READ_VERSION } from '../../src/projections/projections.ts';
import type { ProjectorObserver } from '../../src/projections/engine/apply.ts';
import { openReadModel, type ReadModel } from '../../src/projections/generations/read-model.ts';
import { ensureGeneration, type RebuildOptions } from '../../src/projections/generations/rebuild.ts';
import type { Commit } from '../../src/projections/engine/store.ts';
import { namespace } from './servers/index.ts';
import { openStrangerClient } from './stranger-client.ts';
import { until } from './servers/waiting.ts';
import { type LogEntry } from '../../src/log/entry.ts';

const silent = () => undefined;

/** The log of a core, and a way to remove records from it. */
export interface LogSource {
  open(connection: PostgresConnection, namespace: string): Promise<EventLog>;
  /** Deletes all records of the partition before the offset, as no user should. */
  deleteBefore(core: Core, where: TopicPartition, offset: number): Promise<void>;
}

/** A lock that several cores hold at once: cores of one test may represent several processes. */
const shared = { held: () => Promise.resolve(), stop: () => Promise.resolve() };

export const embeddedSource: LogSource = {
  open: (connection, name) => openLogUnder(shared, { connection, namespace: name, log: silent }),
  async deleteBefore({ admin }, { topic, partition }, offset) {
    const text = 'DELETE FROM log_records WHERE topic = $1 AND partition = $2 AND "offset" < $3';
    await admin.query({ text, values: [topic, partition, offset] });
  },
};

export const kafkaSource = (brokers: string[]): LogSource => ({
  open: () => openKafkaLog({ brokers, clientId: 'core', sessionTimeoutMs: 6_000, logger: silent }),
  async deleteBefore(_, where, offset) {
    const outsider = await openStrangerClient(brokers);
    await outsider.deleteBefore(where, offset);
    await outsider.close();
  },
});

export interface CoreOptions {
  readonly connection: PostgresConnection;
  readonly source?: LogSource;
  readonly namespace?: string;
  readonly partitions?: number;
  readonly projections?: readonly Projection[];
  readonly synchronousCommit?: boolean;
  /** Receives events beside the core's own record of them. */
  readonly observer?: Partial<ProjectorObserver>;
  readonly lagAlarmMs?: number;
  /** The database owns the log, as it must before commands and processes use the log of a broker. */
  readonly owned?: boolean;
  /** False: there is a served generation, and no projector runs before `startProjectors`. `never-built`: there is no generation. */
  readonly projecting?: boolean | 'never-built';
}

/** The reports of the projectors of a core. */
export interface ProjectorReports {
  readonly commits: Commit[];
  readonly lost: { readonly record: LogEntry; readonly reason: string; readonly alarm: boolean }[];
  readonly quarantined: { readonly record: StoredRecord; readonly reason: string }[];
  readonly stopped: { readonly position: Position; readonly reason: string }[];
}

/** Everything below HTTP, in one namespace, in this process. */
export interface Core {
  readonly namespace: string;
  readonly connection: PostgresConnection;
  readonly log: EventLog;
  readonly placement: Placement;
  readonly admin: Database;
  readonly projectorReports: ProjectorReports;
  /** The consumers that its projectors run on. */
  readonly consumers: Consumers;
  /** The dependencies of rebuilds and projectors. */
  readonly rebuildOptions: RebuildOptions & GenerationProjectorsOptions;
  readonly projectors: GenerationProjectors | undefined;
  /** Starts the projector role, again after `stopProjectors`. */
  startProjectors(): Promise<GenerationProjectors>;
  /** Stops the projector role. */
  stopProjectors(): Promise<void>;
  /** The write and read side of one API process. */
  openApi(options?: ApiOptions): Promise<Api>;
  serving(): Promise<Generation>;
  /** Rows of a table of the newest served generation, or of another one. */
  rows<Row extends Record<string, unknown>>(table: string, of?: Generation): Promise<Row[]>;
  append(where: TopicPartition, ...records: readonly LogRecord[]): Promise<void>;
  /** Waits until the newest served generation has everything that is in the log now. */
  settled(except?: readonly TopicPartition[]): Promise<void>;
  /** A new stream id in the given partition of the catalog. */
  streamIn(partition: number, category?: 'album' | 'song'): string;
  catalog(partition: number): TopicPartition;
  close(): Promise<void>;
}

export async function openCore(options: CoreOptions): Promise<Core> {
  const { connection, source = embeddedSource, partitions = 2, projections = allProjections } = options;
  const name = options.namespace ?? namespace();
  const placement = createPlacement(name, partitions);
  await migrate({ connection, namespace: name });
  const admin = openDatabase(connection, {
    name: 'core',
    max: 6,
    searchPath: [name, 'public'],
    queryTimeoutMs: 60_000,
  });
  const log = await source.open(connection, name);
  await initLog({ log, placement, database: admin, me: options.owned ? await readOwner(admin) : undefined });
  const projectorReports: ProjectorReports = { commits: [], lost: [], quarantined: [], stopped: [] };
  const listeners = new Set<(notice: CommitNotice) => void>();
  const consumers = new Consumers(new Registry(), options.lagAlarmMs ?? 30_000);
  const projectorOptions: GenerationProjectorOptions = {
    connection,
    log,
    placement,
    projections,
    synchronousCommit: options.synchronousCommit ?? false,
    observer: reportingTo(projectorReports, listeners, options.observer),
    logger: pino({ level: 'silent' }),
    consumers,
    onCrash: (error) => {
      throw error;
    },
  };
  const rebuildOptions: RebuildOptions & GenerationProjectorsOptions = {
    ...projectorOptions,
    admin,
    version: READ_VERSION,
  };
  const apis = new Set<Api>();
  let projectors: GenerationProjectors | undefined;

  const core: Core = {
    namespace: name,
    connection,
    log,
    placement,
    admin,
    projectorReports,
    rebuildOptions,
    consumers,
    get projectors() {
      return projectors;
    },
    startProjectors: async () =>
      (projectors ??= await startGenerationProjectors({ ...projectorOptions, admin, version: READ_VERSION })),
    async stopProjectors() {
      await projectors?.stop();
      projectors = undefined;
    },
    async openApi(apiOptions = {}) {
      const api = await openApi(core, listeners, apiOptions);
      apis.add(api);
      return api;
    },
    async serving() {
      const [newest] = await admin.use((client) => servingGenerations(client, READ_VERSION));
      if (!newest) throw new Error('no generation is served');
      return newest;
    },
    async rows<Row extends Record<string, unknown>>(table: string, of?: Generation) {
      const { schema } = of ?? (await core.serving());
      return admin.query<Row>({ text: `SELECT * FROM "${schema}".${table} t ORDER BY 1, 2` });
    },
    append: (where, ...records) => log.append(records.map((record) => ({ ...where, record }))),
    settled: (except = []) => settled(core, except),
    catalog: (partition) => ({ topic: `${name}.catalog`, partition }),
    streamIn(partition, category = 'album') {
      for (;;) {
        const stream = idFromCommand(category, newId());
        if (placement.place(stream).partition === partition) return stream;
      }
    },
    async close() {
      await Promise.all([...apis].map((api) => api.close()));
      await core.stopProjectors();
      await log.close();
      await admin.stop();
    },
  };
  const { projecting = true } = options;
  if (projecting === true) await core.startProjectors();
  else if (!projecting) await ensureGeneration(rebuildOptions, new AbortController().signal);
  return core;
}

function reportingTo(
  projectorReports: ProjectorReports,
  listeners: Set<(notice: CommitNotice) => void>,
  more: Partial<ProjectorObserver> = {},
): ProjectorObserver {
  return {
    committed(commit, notice) {
      projectorReports.commits.push(commit);
      more.committed?.(commit, notice);
      for (const notify of listeners) notify(notice);
    },
    lost(record, reason, alarm) {
      projectorReports.lost.push({ record, reason, alarm });
      more.lost?.(record, reason, alarm);
    },
    quarantined(record, reason) {
      projectorReports.quarantined.push({ record, reason });
      more.quarantined?.(record, reason);
    },
    stopped(position, reason) {
      projectorReports.stopped.push({ position, reason });
      more.stopped?.(position, reason);
    },
  };
}

async function settled(core: Core, except: readonly TopicPartition[]): Promise<void> {
  const isExcepted = (where: TopicPartition) =>
    except.some(({ topic, partition }) => topic === where.topic && partition === where.partition);
  const ends = (await core.log.ends(core.placement.all)).filter((end) => !isExcepted(end));
  let behind: Position[] = ends;
  await until(
    async () => {
      const checkpoints = await core.rows<{ topic: string; partition: number; next: number }>('checkpoints');
      behind = ends.filter(({ topic, partition, offset }) =>
        checkpoints.some((each) => each.topic === topic && each.partition === partition && each.next < offset),
      );
      return behind.length === 0;
    },
    30_000,
    () => `not applied up to ${JSON.stringify(behind)}; ${JSON.stringify(core.projectors?.health())}`,
  );
}

/** A low limit, so that a test reaches it. */
export const handlerLimits: HandlerLimits = { verdictWaitMs: 5_000, retries: 8, streams: 10_000 };

export interface ApiOptions {
  /** False: it gets no commit notices, as when a notice is lost. */
  readonly hints?: boolean;
  readonly pollMs?: number;
  readonly limits?: Partial<HandlerLimits>;
  /** Replaces the log for appending. */
  readonly log?: Pick<EventLog, 'append'>;
  readonly version?: number;
  /** Connections for reading. */
  readonly max?: number;
  /** False: does not wait for the read model to be ready. */
  readonly waiting?: boolean;
}

export interface Api {
  readonly commands: Commands;
  readonly reads: ReadModel;
  /** The complaints of the read model. */
  readonly reports: readonly string[];
  createAlbum(name?: string, origin?: Partial<CommandOrigin>): Promise<CommandOutcome & { id: string }>;
  changeAlbum(stream: string, name: string, origin?: Partial<CommandOrigin>): Promise<CommandOutcome>;
  close(): Promise<void>;
}

async function openApi(core: Core, listeners: Set<(notice: CommitNotice) => void>, options: ApiOptions): Promise<Api> {
  const { connection, namespace: name, admin, log, placement } = core;
  const reports: string[] = [];
  const reads = openReadModel({
    connection,
    namespace: name,
    version: options.version ?? READ_VERSION,
    max: options.max ?? 6,
    admin,
    ends: () => log.ends(placement.all),
    report: (message) => reports.push(message),
  });
  const streams = createPostgresStreams(reads, name);
  const verdicts = createVerdicts({ streams, pollMs: options.pollMs ?? 100 });
  if (options.hints ?? true) listeners.add(verdicts.onCommit);
  const commands = createCommands({
    streams,
    appender: createAppender(options.log ?? log),
    verdicts,
    placement,
    newId,
    now: Date.now,
    pause: (retry) => new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(200, 5 * 2 ** retry))),
    limits: { ...handlerLimits, ...options.limits },
  });
  if (options.waiting ?? true) await reads.ready();
  return {
    commands,
    reads,
    reports,
    async createAlbum(title = 'Parachutes', given = {}) {
      const origin = originOf(given);
      const id = idFromCommand('album', origin.commandId);
      const outcome = await commands.album({ stream: id, origin, command: createAlbumCommand(title) });
      return { ...outcome, id };
    },
    changeAlbum: (stream, title, given = {}) =>
      commands.album({ stream, origin: originOf(given), command: changeAlbumCommand(title) }),
    async close() {
      listeners.delete(verdicts.onCommit);
      await verdicts.stop();
      await reads.stop();
    },
  };
}

const createAlbumCommand = (name: string) => ({ type: 'CreateAlbum', details: { name, year: 2000 } }) as const;
const changeAlbumCommand = (name: string) => ({ type: 'ChangeAlbum', details: { name, year: 2001 } }) as const;

/** A new command without a particular actor. */
export const originOf = (given: Partial<CommandOrigin> = {}): CommandOrigin => ({
  commandId: newId(),
  repeatable: false,
  bodyHash: '',
  olderBodyHashes: [],
  actor: 'anonymous',
  correlationId: randomUUID(),
  ...given,
});

export interface ClaimOptions {
  readonly stream: string;
  readonly version?: number;
  readonly prev?: string;
  readonly id?: string;
  readonly commandId?: string;
  readonly event?: AnyEvent;
  /** Replaces the event's bytes; the checksum is correct. */
  readonly value?: Buffer;
}

/** A valid record that the test appends itself. */
export function claim({
  stream,
  version = 1,
  prev = '',
  id = newId(),
  ...rest
}: ClaimOptions): LogRecord & { id: string } {
  const {
    event = { type: 'AlbumCreated', albumId: stream, name: `by ${id}`, year: 2000 },
    commandId = newId(),
    value,
  } = rest;
  const envelope = {
    id,
    type: subjectOf(event.type),
    stream,
    time: new Date().toISOString(),
    version,
    prev,
    commandId,
  };
  const about = { actor: 'anonymous', correlationId: id, causationId: commandId, bodyHash: '' };
  return { ...toRecord({ ...envelope, ...about }, value ?? encodeEvent(event)), id };
}

/** Consecutive valid claims of one album, the first of which creates it. */
export function chain(
  stream: string,
  names: readonly string[],
  from: { version: number; id: string } = { version: 0, id: '' },
) {
  const records: (LogRecord & { id: string })[] = [];
  for (const [index, name] of names.entries()) {
    const version = from.version + index + 1;
    const type = version === 1 ? ('AlbumCreated' as const) : ('AlbumChanged' as const);
    const prev = records.at(-1)?.id ?? from.id;
    records.push(claim({ stream, version, prev, event: { type, albumId: stream, name, year: 2000 } }));
  }
  return records;
}

/** The record with another header than its checksum covers. */
export const withCorruptHeader = (record: LogRecord): LogRecord => ({
  ...record,
  headers: { ...record.headers, ce_actor: 'another actor' },
});

/** The record with another value than its checksum covers. */
export const withCorruptValue = (record: LogRecord): LogRecord => ({
  ...record,
  value: Buffer.concat([record.value, Buffer.from([1])]),
});

/** A valid record without one of its headers. */
export function withoutHeader(record: LogRecord, name: string): LogRecord {
  const headers = Object.fromEntries(Object.entries(record.headers).filter(([each]) => each !== name));
  return { ...record, headers };
}
