import type { Envelope } from '../../src/events/envelope.ts';
import { partitionKey, type Position, type TopicPartition } from '../../src/events/record.ts';
import { type Commit, type CommitOutcome, type Move, Poison } from '../../src/projections/engine/store.ts';
import type { ExpectedCheckpoint, StoredCheckpoint, StreamHead } from '../../src/event-store/judgement.ts';

/** An accepted record as in `stream_events`. */
export interface Row {
  readonly envelope: Envelope;
  readonly position: Position;
  readonly value: Buffer;
  readonly payload: 'applied' | 'kept' | 'poison';
}

type Change = (tables: Tables) => void;

/** The changes of one commit; a crash can lose all of them. */
class Tables {
  readonly checkpoints = new Map<string, StoredCheckpoint>();
  readonly streams = new Map<string, Row[]>();
  readonly quarantine = new Map<string, { version: number; reason: string }>();
  readonly moves: Move[] = [];

  constructor(partitions: readonly TopicPartition[]) {
    for (const where of partitions) {
      const start = { next: 0, fence: 0, fingerprint: '', leaderEpoch: 0, stopped: null };
      this.checkpoints.set(partitionKey(where), { ...where, ...start });
    }
  }

  rowsOf(stream: string): readonly Row[] {
    return this.streams.get(stream) ?? [];
  }
}

export interface PostgresOptions {
  readonly partitions: readonly TopicPartition[];
  readonly rules: {
    readonly compareAndSet: boolean;
    readonly headsAtCheckpoint: boolean;
    readonly firstsChecked: boolean;
  };
  readonly violated: (what: string) => void;
}

/** The event whose rows Postgres rejects. */
export const REFUSED_YEAR = 1;

/**
 * Postgres as far as the write path uses it. Every method is one statement. Commits are asynchronous: a crash keeps the
 * durable ones and a random number of the others, in order. It also breaks all connections and empties the guard.
 */
export class ModelPostgres {
  /** The number of crashes. A connection belongs to one incarnation. */
  incarnation = 1;
  guarded = false;
  readonly #options: PostgresOptions;
  #tables: Tables;
  #changes: Change[] = [];
  #durable = 0;

  constructor(options: PostgresOptions) {
    this.#options = options;
    this.#tables = new Tables(options.partitions);
  }

  get tables(): Tables {
    return this.#tables;
  }

  /** How many commits a crash would lose now. */
  get volatile(): number {
    return this.#changes.length - this.#durable;
  }

  flush(commits: number): void {
    this.#durable += commits;
  }

  crash(kept: number): void {
    this.incarnation++;
    this.guarded = false;
    this.#changes = this.#changes.slice(0, this.#durable + kept);
    this.#durable = this.#changes.length;
    this.#tables = new Tables(this.#options.partitions);
    for (const change of this.#changes) change(this.#tables);
  }

  checkpoints(partitions: readonly TopicPartition[]): StoredCheckpoint[] {
    return partitions.map((where) => this.checkpoint(where));
  }

  checkpoint(where: TopicPartition): StoredCheckpoint {
    return this.#tables.checkpoints.get(partitionKey(where))!;
  }

  heads(streams: readonly string[], at: readonly ExpectedCheckpoint[]): Map<string, StreamHead> | 'missed' {
    const { headsAtCheckpoint } = this.#options.rules;
    if (headsAtCheckpoint && !at.every((each) => this.#isAt(each))) return 'missed';
    const heads = new Map<string, StreamHead>();
    for (const stream of streams) {
      const last = this.#tables.rowsOf(stream).at(-1)?.envelope;
      const closed = this.#tables.quarantine.has(stream);
      if (last) heads.set(stream, { version: last.version, id: last.id, closed });
    }
    return heads;
  }

  commit(commit: Commit): CommitOutcome {
    const { compareAndSet, firstsChecked } = this.#options.rules;
    if (compareAndSet && !commit.moves.every((move) => this.#isAt(move))) return 'missed';
    for (const { envelope, payload } of commit.accepted) {
      if (
        typeof payload === 'object' &&
        'event' in payload &&
        'year' in payload.event &&
        payload.event.year === REFUSED_YEAR
      ) {
        throw new Poison('numeric field overflow', undefined);
      }
      const taken = this.#tables.rowsOf(envelope.stream).some((row) => row.envelope.version === envelope.version);
      if (!taken) continue;
      if (firstsChecked && envelope.version === 1) return 'not-new';
      this.#options.violated(`version ${envelope.version} of ${envelope.stream} is written twice`);
      throw new Poison('duplicate key', undefined);
    }
    this.#change((tables) => write(tables, commit));
    return { onlyServing: true };
  }

  noteStopped(where: TopicPartition, stopped: string | null): void {
    const key = partitionKey(where);
    this.#change(({ checkpoints }) => void checkpoints.set(key, { ...checkpoints.get(key)!, stopped }));
  }

  setGuardIfReached(ends: readonly Position[]): boolean {
    const reached = ends.every((end) => this.checkpoint(end).next >= end.offset);
    if (reached) this.guarded = true;
    return reached;
  }

  #isAt({ from, ...where }: ExpectedCheckpoint): boolean {
    const { next, fence } = this.checkpoint(where);
    return next === from.next && fence === from.fence;
  }

  #change(change: Change): void {
    this.#changes.push(change);
    change(this.#tables);
  }
}

function write({ checkpoints, streams, quarantine, moves }: Tables, commit: Commit): void {
  for (const { topic, partition, from, to } of commit.moves) {
    moves.push({ topic, partition, from, to });
    checkpoints.set(partitionKey({ topic, partition }), { topic, partition, ...to, stopped: null });
  }
  for (const { record, envelope, payload } of commit.accepted) {
    const rows = streams.get(envelope.stream) ?? [];
    const { topic, partition, offset, value } = record;
    const state = typeof payload === 'string' ? payload : 'poison' in payload ? 'poison' : 'applied';
    streams.set(envelope.stream, [
      ...rows,
      { envelope, position: { topic, partition, offset }, value, payload: state },
    ]);
    if (typeof payload === 'object' && 'poison' in payload) {
      quarantine.set(envelope.stream, { version: envelope.version, reason: payload.poison });
    }
  }
}
