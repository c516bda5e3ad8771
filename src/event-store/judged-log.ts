import type { Envelope } from '../events/envelope.ts';
import { type Position, showPosition, type StoredRecord, type TopicPartition } from '../events/record.ts';
import { lastOffsetOf, type LogEntry, missing, withMissing } from '../log/entry.ts';
import type { EventLog } from '../log/event-log.ts';
import { classify, type Classification, type Head, type LogRules, wins } from './arbitrate.ts';

/** A record that won its version. */
export interface Winner {
  readonly entry: StoredRecord;
  readonly envelope: Envelope;
  readonly lost?: undefined;
}

/** An entry that counts for no reader, and why. */
export interface Loser {
  readonly entry: LogEntry;
  readonly lost: string;
}

export type JudgedEntry = Winner | Loser;

export const isWinner = (judged: JudgedEntry): judged is Winner => judged.lost === undefined;

/** A database that has judged the log before, and can tell the heads of streams in the middle of it. */
export interface HeadsBefore {
  /** The offset up to which the partition is judged there. */
  reach(where: TopicPartition): Promise<number>;
  /** The heads that the streams had before the offset; streams without one are missing. Rejects when the offset is beyond its reach. */
  heads(before: Position, streams: readonly string[]): Promise<Map<string, Head>>;
}

export interface JudgedLogOptions {
  readonly log: Pick<EventLog, 'read' | 'begins'>;
  readonly rules: LogRules;
  /** Without it a partition is judged from its beginning, and the head of each of its streams stays in memory. */
  readonly index?: HeadsBefore | undefined;
  /** Heads in memory before the index is asked again. */
  readonly headsRemembered?: number;
}

/** The log cannot be judged from this position on, as for every reader. */
export class UnreadableLog extends Error {
  constructor(at: Position, reason: string) {
    super(`${showPosition(at)} cannot be judged, nor anything behind it: ${reason}`);
    this.name = 'UnreadableLog';
  }
}

const READ_BYTES = 2 * 2 ** 20;
/** About 40 MB. */
const HEADS_REMEMBERED = 200_000;

/** A partition that is judged from a position on, as far as it is asked for. */
export class JudgedPartition {
  readonly #options: JudgedLogOptions;
  readonly #from: Position;
  #judging: PartitionJudging | undefined;

  constructor(options: JudgedLogOptions, from: Position) {
    this.#options = options;
    this.#from = from;
  }

  /**
   * Every entry from where the last call ended up to the offset, in order, with its verdict. Each generator must be read to its end
   * before the next call. Throws UnreadableLog where all readers of the log stop.
   */
  async *until(offset: number): AsyncGenerator<JudgedEntry[], void> {
    const judging = (this.#judging ??= new PartitionJudging(this.#options, await this.#start()));
    for await (const entries of entriesOf(this.#options.log, judging.next, offset)) {
      const judged = await judging.judge(entries);
      const wanted = judged.filter(({ entry }) => lastOffsetOf(entry) >= this.#from.offset);
      if (wanted.length > 0) yield wanted;
    }
  }

  /** Judging begins where the heads are known: nowhere but at the beginning without an index. */
  async #start(): Promise<Position> {
    const reach = (await this.#options.index?.reach(this.#from)) ?? 0;
    return { ...this.#from, offset: Math.min(this.#from.offset, reach) };
  }
}

/** Entries without gaps. The next read is under way while one is being worked on. */
export async function* entriesOf(
  log: JudgedLogOptions['log'],
  from: Position,
  until: number,
): AsyncGenerator<readonly LogEntry[], void> {
  if (from.offset >= until) return;
  const [{ offset: begin } = { offset: 0 }] = await log.begins([from]);
  if (from.offset < begin) yield [missing(from, from.offset, Math.min(begin, until) - 1)];
  let next = Math.max(from.offset, begin);
  const read = () => {
    const reading = next < until ? log.read({ ...from, offset: next }, { maxBytes: READ_BYTES }) : undefined;
    reading?.catch(() => undefined); // thrown where it is awaited
    return reading;
  };
  for (let reading = read(); reading;) {
    const entries = withMissing(
      next,
      (await reading).filter(({ offset }) => offset < until),
    );
    const last = entries.at(-1);
    if (!last) throw new UnreadableLog({ ...from, offset: next }, `the partition ends before ${until}`);
    next = lastOffsetOf(last) + 1;
    reading = read();
    yield entries;
  }
}

/** Judges one partition in the order of its offsets. */
class PartitionJudging {
  readonly #options: JudgedLogOptions;
  readonly #where: TopicPartition;
  /** The heads of the streams that were met since then; undefined for a stream that had none. */
  readonly #heads = new Map<string, Head | undefined>();
  /** The index knows the heads before this offset of all other streams. */
  #since: number;
  #next: number;

  constructor(options: JudgedLogOptions, { topic, partition, offset }: Position) {
    this.#options = options;
    this.#where = { topic, partition };
    this.#since = offset;
    this.#next = offset;
  }

  get next(): Position {
    return { ...this.#where, offset: this.#next };
  }

  async judge(entries: readonly LogEntry[]): Promise<JudgedEntry[]> {
    const classified = entries.map((entry) => classify(entry, this.#options.rules));
    await this.#recall(classified);
    const judged = entries.map((entry, at) => this.#judge(entry, classified[at]));
    const last = entries.at(-1);
    if (last) this.#next = lastOffsetOf(last) + 1;
    await this.#forget();
    return judged;
  }

  #judge(entry: LogEntry, classification: Classification | undefined): JudgedEntry {
    if (classification?.kind !== 'claim') {
      if (classification?.kind === 'loser') return { entry, lost: classification.reason };
      throw new UnreadableLog(entry, classification?.reason ?? 'it was not classified');
    }
    const { envelope, record } = classification;
    const { stream, version, id } = envelope;
    if (!wins(envelope, this.#heads.get(stream))) return { entry, lost: 'lost the race' };
    this.#heads.set(stream, { version, id });
    return { entry: record, envelope };
  }

  /** Reads the heads of streams that are met for the first time. */
  async #recall(classified: readonly Classification[]): Promise<void> {
    const { index } = this.#options;
    if (!index || this.#since === 0) return;
    const claims = classified.flatMap((each) => (each.kind === 'claim' ? [each.envelope.stream] : []));
    const unknown = [...new Set(claims.filter((stream) => !this.#heads.has(stream)))];
    if (unknown.length === 0) return;
    const heads = await index.heads({ ...this.#where, offset: this.#since }, unknown);
    for (const stream of unknown) this.#heads.set(stream, heads.get(stream));
  }

  /** Bounds the memory, as far as the index has come. */
  async #forget(): Promise<void> {
    const { index, headsRemembered = HEADS_REMEMBERED } = this.#options;
    if (!index || this.#heads.size <= headsRemembered || (await index.reach(this.#where)) < this.#next) return;
    this.#heads.clear();
    this.#since = this.#next;
  }
}
