import { LRUCache } from 'lru-cache';
import type { TopicPartition } from '../events/record.ts';
import { beginningAt, identityOf, isBlank, type LogEntry, withMissing } from '../log/entry.ts';
import type { Checkpoint, StoredCheckpoint, StreamHead } from './judgement.ts';

/** At least one. */
type Entries = readonly [LogEntry, ...LogEntry[]];

/** What is to be done with what was delivered. */
export type Approach =
  | { readonly kind: 'apply'; readonly records: Entries }
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
    // By size and not by number: `max` allocates room for all of them at once, in every partition.
    this.heads = new LRUCache({ maxSize: headsRemembered, sizeCalculation: () => 1 });
  }

  /** Starts anew at a checkpoint. Returns the offset to read from: the last applied record, so that it can be compared. */
  begin({ next, fence, fingerprint, leaderEpoch, stopped }: StoredCheckpoint): number {
    this.checkpoint = { next, fence, fingerprint, leaderEpoch };
    this.position = next;
    this.heads.clear();
    this.stopped = undefined;
    this.noted = stopped !== null;
    this.#verify = fingerprint !== '';
    this.#verifiedEpoch = undefined;
    return this.#ask(this.#wanted(this.checkpoint));
  }

  forget(): void {
    this.checkpoint = undefined;
    this.heads.clear();
  }

  /** Judges position, identity and epoch of what came, and shows what is missing of it; nothing of a record is interpreted. */
  approach(checkpoint: Checkpoint, came: Entries): Approach {
    const wanted = this.#wanted(checkpoint);
    const [first] = came;
    if (first.offset !== wanted && (this.#asked !== wanted || first.offset < wanted)) {
      return this.#askInstead(checkpoint, wanted, first);
    }
    this.#asked = undefined;
    const entries = withMissing(wanted, came);
    return this.#verify ? this.#compare(checkpoint, entries) : this.#gate(checkpoint, entries);
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

  #askInstead(checkpoint: Checkpoint, wanted: number, first: LogEntry): Approach {
    if (this.#asked === wanted) {
      return { kind: 'stop', reason: `offset ${wanted} was asked for and ${first.offset} came: records are missing` };
    }
    // The log ended before the wanted record, if only for a moment: what lies there now may be another one.
    if (first.offset < wanted) this.#verify = checkpoint.fingerprint !== '';
    return { kind: 'continue', next: this.#ask(this.#wanted(checkpoint)) };
  }

  /** A record that is not there any more cannot be compared. It was applied, so nothing of it is lost. */
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

  /** A new leader epoch may mean a shortened log: the last applied record is compared again before going on. */
  #gate(checkpoint: Checkpoint, [first, ...rest]: readonly LogEntry[]): Approach {
    if (!first) return { kind: 'continue', next: checkpoint.next };
    const epoch = first.leaderEpoch;
    if (epoch !== checkpoint.leaderEpoch && epoch !== this.#verifiedEpoch && checkpoint.fingerprint !== '') {
      this.#verify = true;
      this.#verifiedEpoch = epoch;
      return { kind: 'continue', next: this.#ask(this.#wanted(checkpoint)) };
    }
    return { kind: 'apply', records: ofOneEpoch([first, ...rest]) };
  }

  #wanted(checkpoint: Checkpoint): number {
    return this.#verify ? checkpoint.next - 1 : checkpoint.next;
  }

  #ask(offset: number): number {
    this.#asked = offset;
    return offset;
  }
}

const isMissing = (entry: LogEntry): boolean => isBlank(entry) && entry.blank === 'missing';

/** The leading entries of one leader epoch; what follows is judged when it comes first. */
function ofOneEpoch(entries: Entries): Entries {
  const [first, ...rest] = entries;
  const end = rest.findIndex(({ leaderEpoch }) => leaderEpoch !== first.leaderEpoch);
  return end < 0 ? entries : [first, ...rest.slice(0, end)];
}
