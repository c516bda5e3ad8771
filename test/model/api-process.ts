import { createAppender } from '../../src/event-store/appender.ts';
import type { CommandOutcome, CommandRequest } from '../../src/commands/command.ts';
import { createHandler } from '../../src/commands/handle.ts';
import type { Claim, StreamSnapshot, StreamStore, Verdict } from '../../src/event-store/stream-store.ts';
import { createVerdicts } from '../../src/event-store/verdicts.ts';
import { decodeEvent } from '../../src/events/codec.ts';
import type { CommitNotice } from '../../src/events/commit-notice.ts';
import type { TopicPartition } from '../../src/events/record.ts';
import { passGuard } from '../../src/projections/generations/guard.ts';
import { type Connection, Connections } from './connections.ts';
import { type Step, trail } from './decider.ts';
import type { ModelPostgres } from './postgres.ts';
import type { Actor } from './scheduler.ts';
import type { World } from './world.ts';

/** One incarnation of a process that handles commands and reads. */
export interface ApiProcess {
  readonly actor: Actor;
  readonly connections: Connections;
  handle(request: CommandRequest<Step>): Promise<CommandOutcome>;
  /** The rows of Postgres, read over a guarded connection. */
  read<T>(query: (postgres: ModelPostgres) => T): Promise<T>;
  onCommit(notice: CommitNotice): void;
  /** Rejects every call from now on. */
  die(): void;
}

export function startApi(world: World, name: string): ApiProcess {
  const { scheduler, postgres, log, mutation, plan } = world;
  const actor = scheduler.actor(name);
  const guarded = (connection: Connection) =>
    passModelGuard(world, actor, connection, mutation.catchUp && connections.open === 0);
  const connections: Connections = new Connections(world, actor, mutation.guard ? guarded : undefined);
  const streams = mutation.streams(streamsOver(connections, postgres));
  const verdicts = createVerdicts({ streams, pollMs: 20, clock: scheduler.clock(actor) });
  const handle = createHandler(trail, {
    streams,
    verdicts,
    placement: world.placement,
    newId: world.newId,
    now: () => scheduler.time,
    appender: createAppender({ append: log.appendAs(actor) }),
    pause: (retry) => scheduler.sleep(actor, scheduler.pick(4 * retry)),
    limits: { verdictWaitMs: plan.verdictWait, retries: 3, streams: plan.remembered },
  });
  const dead = Promise.withResolvers<never>();
  dead.promise.catch(() => undefined);
  return {
    actor,
    connections,
    onCommit: verdicts.onCommit,
    handle: (request) => Promise.race([handle(request), dead.promise]),
    read: (query) => Promise.race([connections.query(() => query(postgres)), dead.promise]),
    die() {
      scheduler.kill(actor);
      dead.reject(new Error(`${name} is dead`));
    },
  };
}

function passModelGuard(
  { scheduler, postgres, log, partitions }: World,
  actor: Actor,
  connection: Connection,
  catchUp: boolean,
) {
  const session = {
    isSet: () => connection.run(() => postgres.guarded),
    setIfReached: (ends: Parameters<ModelPostgres['setGuardIfReached']>[0]) =>
      connection.run(() => postgres.setGuardIfReached(ends)),
  };
  const ends = () => scheduler.call(actor, () => log.ends(partitions));
  return passGuard(session, { ends, catchUp, pause: () => scheduler.sleep(actor, 6), tries: 10 });
}

/** What `event-store/postgres-streams.ts` reads from Postgres. */
function streamsOver(connections: Connections, postgres: ModelPostgres): StreamStore {
  return {
    load: (stream, where, after, commandId) =>
      connections.query(() => snapshotOf(postgres, { stream, where, after, commandId })),
    verdicts: (claims) => connections.query(() => claims.map((claim) => verdictOn(postgres, claim))),
  };
}

interface Asked {
  readonly stream: string;
  readonly where: TopicPartition;
  readonly after: number;
  readonly commandId: string;
}

function snapshotOf(postgres: ModelPostgres, { stream, where, after, commandId }: Asked): StreamSnapshot {
  const rows = postgres.tables.rowsOf(stream);
  const own = rows.find(({ envelope }) => envelope.commandId === commandId)?.envelope;
  const quarantined = postgres.tables.quarantine.get(stream)?.reason;
  const later = quarantined === undefined ? rows.filter(({ envelope }) => envelope.version > after) : [];
  return {
    events: later.map(({ envelope: { version, id, type }, value }) => ({
      version,
      id,
      event: decodeEvent(type, value),
    })),
    repeated: own && { version: own.version, id: own.id, bodyHash: own.bodyHash },
    quarantined,
    stopped: postgres.checkpoint(where).stopped ?? undefined,
  };
}

function verdictOn(postgres: ModelPostgres, { stream, version, recordId, ...where }: Claim): Verdict {
  const row = postgres.tables.rowsOf(stream).find(({ envelope }) => envelope.version === version);
  const { stopped } = postgres.checkpoint(where);
  if (!row) return stopped === null ? { kind: 'pending' } : { kind: 'stopped', reason: stopped };
  const closed = postgres.tables.quarantine.get(stream);
  if (closed && closed.version <= version) return { kind: 'quarantined', reason: closed.reason };
  return { kind: row.envelope.id === recordId ? 'won' : 'lost' };
}
