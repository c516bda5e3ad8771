import { LRUCache } from 'lru-cache';
import type { TopicPartition } from '../events/record.ts';
import { beginningAt, identityOf, isBlank, type LogEntry, withMissing } from '../log/entry.ts';
import type { Checkpoint, StoredCheckpoint, StreamHead } from './judgement.ts';

/** At least one. */
type Entries = readonly [LogEntry, ...LogEntry[]];

/** What to do with delivered entries: apply them, read on from `next`, or stop the partition. */
export type Approach =
  | { readonly kind: 'apply'; readonly records: Entries }
  | { readonly kind: 'continue'; readonly next: number }
  | { readonly kind: 'stop'; readonly reason: string };

/**
 * What a consumer remembers of one assigned partition. Heads are right only along an unbroken chain of its own commits that
 * began at a checkpoint read from the store; `forget` and `begin` clear them.
 */
export class PartitionState {
  readonly where: TopicPartition;
  /** Undefined while it has to be read again. */
  checkpoint: Checkpoint | undefined;
  readonly heads: LRUCache<string, StreamHead>;
  /** Offset of the last known checkpoint, kept while the checkpoint has to be read again. */
  position: number | undefined;
  stopped: string | undefined;
  /** Whether the store says that the partition is stopped. That is cleared once it goes on. */
  noted = false;
  /** Whether the record before the checkpoint must be compared again before anything is applied. */
  #verify = false;
  #verifiedEpoch: number | undefined;
  /** The last requested offset, to tell a gap from the answer to an older request. */
  #requested: number | undefined;
  /** Offset of a record that was corrupt when it was first fetched. */
  #suspect: number | undefined;
  /** The checkpoint's offset when the log last ended before it; undefined when it did not. */
  #endedBefore: number | undefined;

  constructor(where: TopicPartition, headsRemembered: number) {
    this.where = where;
    // `maxSize` instead of `max`, because `max` allocates room for all entries at once, in every partition.
    this.heads = new LRUCache({ maxSize: headsRemembered, sizeCalculation: () => 1 });
  }

  /** Restarts at a checkpoint. Returns the offset to read from: that of the last applied record, which is compared first. */
  begin({ next, fence, fingerprint, leaderEpoch, stopped }: StoredCheckpoint): number {
    this.checkpoint = { next, fence, fingerprint, leaderEpoch };
    this.position = next;
    this.heads.clear();
    this.stopped = undefined;
    this.noted = stopped !== null;
    this.#verify = fingerprint !== '';
    this.#verifiedEpoch = undefined;
    return this.#request(this.#wanted(this.checkpoint));
  }

  forget(): void {
    this.checkpoint = undefined;
    this.heads.clear();
  }

  /** Checks position, identity and epoch of the entries, and fills in the missing ones. Interprets no record. */
  approach(checkpoint: Checkpoint, came: Entries): Approach {
    const wanted = this.#wanted(checkpoint);
    const [first] = came;
    if (first.offset !== wanted && (this.#requested !== wanted || first.offset < wanted)) {
      return this.#requestAgain(checkpoint, wanted, first);
    }
    this.#requested = undefined;
    const entries = withMissing(wanted, came);
    return this.#verify ? this.#compare(checkpoint, entries) : this.#gate(checkpoint, entries);
  }

  /** Forgets the requested offset after a failed delivery, because the log never got it: the records that come next are no answer to it. */
  forgetRequest(): void {
    this.#requested = undefined;
  }

  /** True the first time that the record at the offset is corrupt: it is fetched once more. */
  suspects(offset: number): boolean {
    if (this.#suspect === offset) return false;
    this.#suspect = offset;
    this.#requested = undefined;
    return true;
  }

  /**
   * True when the log ends before the checkpoint for the second time in a row: once may be a change of leader. The end is
   * compared with the checkpoint of the first time, because the current one may have moved since the end was requested.
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

  #requestAgain(checkpoint: Checkpoint, wanted: number, first: LogEntry): Approach {
    if (this.#requested === wanted) {
      return { kind: 'stop', reason: `offset ${wanted} was requested and ${first.offset} came: records are missing` };
    }
    // The log ended before the wanted record for a moment, so another record may be there now.
    if (first.offset < wanted) this.#verify = checkpoint.fingerprint !== '';
    return { kind: 'continue', next: this.#request(this.#wanted(checkpoint)) };
  }

  /** Skips a last applied record that was deleted: it cannot be compared, and it was applied before. */
  #compare(checkpoint: Checkpoint, [last, ...following]: readonly LogEntry[]): Approach {
    if (last && !isMissing(last) && identityOf(last) !== checkpoint.fingerprint) {
      const found = isBlank(last) ? last.reason : identityOf(last);
      return {
        kind: 'stop',
        reason: `at offset ${last.offset} was ${checkpoint.fingerprint} and is ${found}: another log`,
      };
    }
    this.#verify = false;
    this.#verifiedEpoch ??= last?.leaderEpoch;
    const rest = last && isMissing(last) ? (beginningAt(last, checkpoint.next) ?? []) : [];
    return this.#gate(checkpoint, [rest, following].flat());
  }

  /** Compares the last applied record again at a new leader epoch, because the log may have been shortened. */
  #gate(checkpoint: Checkpoint, [first, ...rest]: readonly LogEntry[]): Approach {
    if (!first) return { kind: 'continue', next: checkpoint.next };
    const epoch = first.leaderEpoch;
    if (epoch !== checkpoint.leaderEpoch && epoch !== this.#verifiedEpoch && checkpoint.fingerprint !== '') {
      this.#verify = true;
      this.#verifiedEpoch = epoch;
      return { kind: 'continue', next: this.#request(this.#wanted(checkpoint)) };
    }
    return { kind: 'apply', records: ofOneEpoch([first, ...rest]) };
  }

  #wanted(checkpoint: Checkpoint): number {
    return this.#verify ? checkpoint.next - 1 : checkpoint.next;
  }

  #request(offset: number): number {
    this.#requested = offset;
    return offset;
  }
}

const isMissing = (entry: LogEntry): boolean => isBlank(entry) && entry.blank === 'missing';

/** The leading entries of one leader epoch. The entries after them are read again. */
function ofOneEpoch(entries: Entries): Entries {
  const [first, ...rest] = entries;
  const end = rest.findIndex(({ leaderEpoch }) => leaderEpoch !== first.leaderEpoch);
  return end < 0 ? entries : [first, ...rest.slice(0, end)];
}
