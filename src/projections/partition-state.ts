import { LRUCache } from 'lru-cache';
import { fingerprint } from '../events/envelope.ts';
import { type StoredRecord, type TopicPartition } from '../events/record.ts';
import type { Checkpoint, StoredCheckpoint, StreamHead } from './store.ts';

/** What is to be done with records that were delivered. */
export type Approach =
  | { readonly kind: 'apply'; readonly records: readonly [StoredRecord, ...StoredRecord[]] }
  | { readonly kind: 'continue'; readonly next: number }
  | { readonly kind: 'stop'; readonly reason: string };

/**
 * What the projector remembers of one assigned partition. Heads are true only along an unbroken chain of own commits that
 * began at a checkpoint read from the store; `forget` and `begin` empty them.
 */
export class PartitionState {
  readonly where: TopicPartition;
  /** Undefined when it has to be read again. */
  checkpoint: Checkpoint | undefined;
  readonly heads: LRUCache<string, StreamHead>;
  /** The checkpoint that was known last, also while it has to be read again. */
  position: number | undefined;
  stopped: string | undefined;
  /** Whether the store says that the partition is stopped, which must be taken back once it goes on. */
  noted = false;
  /** The record before the checkpoint is to be seen again before anything is applied. */
  #verify = false;
  #verifiedEpoch: number | undefined;
  /** The offset that was asked for last, to tell a jump from an answer to an older question. */
  #asked: number | undefined;
  /** Offset of a record that was corrupt when it came the first time. */
  #suspect: number | undefined;
  /** Where the checkpoint stood if the log, when last looked at, ended before it. */
  #endedBefore: number | undefined;

  constructor(where: TopicPartition, headsRemembered: number) {
    this.where = where;
    this.heads = new LRUCache({ max: headsRemembered });
  }

  /** Starts anew at a checkpoint. Returns the offset to read from: the last applied record, so that it can be compared. */
  begin({ next, fence, fingerprint, leaderEpoch, stopped }: StoredCheckpoint): number {
    this.checkpoint = { next, fence, fingerprint, leaderEpoch };
    this.position = next;
    this.heads.clear();
    this.stopped = undefined;
    this.noted = stopped !== null;
    this.#verify = next > 0;
    this.#verifiedEpoch = undefined;
    return this.#ask(this.#wanted(this.checkpoint));
  }

  forget(): void {
    this.checkpoint = undefined;
    this.heads.clear();
  }

  /** Judges position, density, identity and epoch of what came; nothing of a record is interpreted. */
  approach(checkpoint: Checkpoint, records: readonly [StoredRecord, ...StoredRecord[]]): Approach {
    const [first] = records;
    const wanted = this.#wanted(checkpoint);
    if (first.offset !== wanted) {
      if (this.#asked === wanted) {
        return { kind: 'stop', reason: `offset ${wanted} was asked for and ${first.offset} came: records are missing` };
      }
      // The log ended before the wanted record, if only for a moment: what lies there now may be another one.
      if (first.offset < wanted) this.#verify = true;
      return { kind: 'continue', next: this.#ask(this.#wanted(checkpoint)) };
    }
    this.#asked = undefined;
    if (!this.#verify) return this.#gate(checkpoint, records);
    const found = fingerprint(first);
    if (found !== checkpoint.fingerprint) {
      return { kind: 'stop', reason: `at offset ${wanted} was ${checkpoint.fingerprint} and is ${found}: another log` };
    }
    this.#verify = false;
    this.#verifiedEpoch ??= first.leaderEpoch;
    const [next, ...rest] = records.slice(1);
    return next ? this.#gate(checkpoint, [next, ...rest]) : { kind: 'continue', next: checkpoint.next };
  }

  /** What was asked for did not get through: the records that come again are no answer to it. */
  unheard(): void {
    this.#asked = undefined;
  }

  /** True the first time a record is seen corrupt: it is fetched once more. */
  suspects(offset: number): boolean {
    if (this.#suspect === offset) return false;
    this.#suspect = offset;
    this.#asked = undefined;
    return true;
  }

  /**
   * True when the log is seen for the second time in a row to end before the checkpoint: once may be a change of leader.
   * It is compared with the checkpoint of the first time, because this one may have moved since the end was asked for.
   */
  endsBefore(end: number): boolean {
    const next = this.stopped === undefined ? this.checkpoint?.next : undefined;
    const twice = next !== undefined && this.#endedBefore !== undefined && end < this.#endedBefore;
    this.#endedBefore = next !== undefined && end < next ? next : undefined;
    return twice;
  }

  moved(to: Checkpoint, heads: ReadonlyMap<string, StreamHead>): void {
    this.checkpoint = to;
    this.position = to.next;
    for (const [stream, head] of heads) this.heads.set(stream, head);
  }

  /** A new leader epoch may mean a shortened log: the last applied record is compared again before going on. */
  #gate(checkpoint: Checkpoint, records: readonly [StoredRecord, ...StoredRecord[]]): Approach {
    const epoch = records[0].leaderEpoch;
    if (epoch !== checkpoint.leaderEpoch && epoch !== this.#verifiedEpoch && checkpoint.next > 0) {
      this.#verify = true;
      this.#verifiedEpoch = epoch;
      return { kind: 'continue', next: this.#ask(this.#wanted(checkpoint)) };
    }
    return { kind: 'apply', records: unbroken(records) };
  }

  #wanted(checkpoint: Checkpoint): number {
    return this.#verify ? checkpoint.next - 1 : checkpoint.next;
  }

  #ask(offset: number): number {
    this.#asked = offset;
    return offset;
  }
}

/** The leading records of one leader epoch without a gap; what follows is judged when it comes first. */
function unbroken(records: readonly [StoredRecord, ...StoredRecord[]]): readonly [StoredRecord, ...StoredRecord[]] {
  const [first, ...rest] = records;
  const end = rest.findIndex(
    ({ offset, leaderEpoch }, index) => offset !== first.offset + index + 1 || leaderEpoch !== first.leaderEpoch,
  );
  return end < 0 ? records : [first, ...rest.slice(0, end)];
}
