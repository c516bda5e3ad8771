import type { StreamStore } from '../../src/event-store/stream-store.ts';
import { createPlacement, type Placement } from '../../src/events/placement.ts';
import { idFromCommand } from '../../src/events/ids.ts';
import type { TopicPartition } from '../../src/events/record.ts';
import { type Rule, wins } from '../../src/event-store/arbitrate.ts';
import type { Ownership } from '../../src/log/ownership.ts';
import { beginOwned } from './adoption.ts';
import { type ApiProcess, startApi } from './api-process.ts';
import { ModelLog } from './log.ts';
import { ModelPostgres } from './postgres.ts';
import { type ProjectorProcess, startProjector } from './projector-process.ts';
import { type Actor, Scheduler } from './scheduler.ts';

/** The parameters of one schedule. Rates are in thousandths per step. */
export interface Plan {
  readonly seed: number;
  readonly steps: number;
  readonly apis: number;
  readonly projectors: number;
  readonly clients: number;
  readonly streams: number;
  /** Streams that a process remembers. */
  readonly remembered: number;
  readonly verdictWait: number;
  /** Whether a projector delivers each partition in a loop of its own. */
  readonly apart: boolean;
  readonly crashes: number;
  readonly deaths: number;
  readonly pauses: number;
  readonly joins: number;
  /** Of appends, in hundredths. */
  readonly unknown: number;
  readonly duplicated: number;
  readonly refused: number;
  readonly blank: number;
  /** Step at which a second database, a follower until then, takes the log over; 0 for no second database. */
  readonly adopts: number;
}

/** What is removed from the rules, by changing the environment of the running code. */
export interface Mutation {
  /** Which claims win. */
  readonly rule: Rule;
  /** Commits compare checkpoints. */
  readonly compareAndSet: boolean;
  /** Heads are read in one snapshot with checkpoints that are compared too. */
  readonly headsAtCheckpoint: boolean;
  /** The commit detects that a stream that was assumed to be new exists. */
  readonly firstsChecked: boolean;
  /** Waiting commands learn of winners after the commit. */
  readonly notifiedAfterCommit: boolean;
  /** Connections pass the guard before their first use. */
  readonly guard: boolean;
  /** Clients set conditions, so that some commands are rejected. No record of a rejected command is ever arbitrated. */
  readonly refusals: boolean;
  readonly streams: (streams: StreamStore) => StreamStore;
  /** The owner stops at the record by which it loses the log. */
  readonly fence: boolean;
  /** An owner skips changes of owner before its own. */
  readonly since: boolean;
  /** A new owner reaches the end of the log, as it was after the last fence, before it serves. */
  readonly catchUp: boolean;
  /** Projectors read the voids. */
  readonly voids: boolean;
}

export const unchanged: Mutation = {
  rule: wins,
  compareAndSet: true,
  headsAtCheckpoint: true,
  firstsChecked: true,
  notifiedAfterCommit: true,
  guard: true,
  refusals: true,
  streams: (streams) => streams,
  fence: true,
  since: true,
  catchUp: true,
  voids: true,
};

/** An acknowledged success. */
export interface Acknowledgement {
  readonly commandId: string;
  readonly stream: string;
  readonly version: number;
  readonly recordId: string;
}

/** A process that is restarted when it dies. */
export interface Slot<Process> {
  process: Process;
}

export interface World {
  readonly plan: Plan;
  readonly mutation: Mutation;
  readonly scheduler: Scheduler;
  readonly postgres: ModelPostgres;
  /** Delivers notices of commits. */
  readonly network: Actor;
  readonly log: ModelLog;
  readonly placement: Placement;
  readonly partitions: readonly TopicPartition[];
  /** Streams by the command that would create them. */
  readonly streams: readonly { readonly stream: string; readonly creator: string }[];
  /** The streams whose command was sent. */
  readonly created: Set<string>;
  readonly apis: Slot<ApiProcess>[];
  readonly projectors: Slot<ProjectorProcess>[];
  readonly acknowledged: Acknowledgement[];
  /** Commands that were rejected permanently. */
  readonly refused: string[];
  /** No new work begins, and no fault happens any more. */
  closing: boolean;
  violation: string | undefined;
  readonly newId: () => string;
  readonly violated: (what: string) => void;
  /** The owners of this world's database; undefined where ownership is not modelled. */
  ownership: Ownership | undefined;
  /** The second database: a world of its own processes on the same log. */
  adopter: World | undefined;
  /** The log belongs to the second database, whose processes serve from now on. */
  adopted: boolean;
  /** The first database has detected that. None of its processes starts any more. */
  lost: boolean;
}

const PARTITIONS = 2;

export function createWorld(plan: Plan, mutation: Mutation): World {
  const placement = createPlacement('model', PARTITIONS);
  const partitions = placement.all.filter(({ topic }) => topic === 'model.catalog');
  const scheduler = new Scheduler(plan.seed);
  const newId = createIds();
  const violated = (what: string) => void (world.violation ??= what);
  const hundredths = (rate: number) => (world.closing ? 0 : rate / 100);
  const faults = () => ({
    unknown: hundredths(plan.unknown),
    duplicated: hundredths(plan.duplicated),
    refused: hundredths(plan.refused),
    blank: hundredths(plan.blank),
  });
  const world: World = {
    plan,
    mutation,
    scheduler,
    placement,
    partitions,
    newId,
    violated,
    closing: false,
    violation: undefined,
    apis: [],
    projectors: [],
    acknowledged: [],
    refused: [],
    created: new Set(),
    ownership: undefined,
    adopter: undefined,
    adopted: false,
    lost: false,
    network: scheduler.actor('notices'),
    postgres: new ModelPostgres({ partitions, rules: mutation, violated }),
    log: new ModelLog(scheduler, partitions, faults),
    streams: Array.from({ length: plan.streams }, newId).map((creator) => ({
      stream: idFromCommand('album', creator),
      creator,
    })),
  };
  if (plan.adopts > 0) beginOwned(world);
  for (let each = 0; each < plan.apis; each++) world.apis.push({ process: startApi(world, `api ${each}`) });
  for (let each = 0; each < plan.projectors; each++) {
    world.projectors.push({ process: startProjector(world, `projector ${each}`) });
  }
  return world;
}

function createIds(): () => string {
  let last = 0;
  return () => `00000000-0000-7000-8000-${(++last).toString(16).padStart(12, '0')}`;
}
