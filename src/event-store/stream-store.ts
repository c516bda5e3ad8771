import type { AnyEvent } from '../events/events.ts';
import type { TopicPartition } from '../events/record.ts';

/** What one snapshot says of a stream. */
export interface StreamSnapshot {
  /** Accepted events after the version that was asked for, in order. */
  readonly events: readonly { readonly version: number; readonly id: string; readonly event: AnyEvent }[];
  /** The accepted record of the command that was asked for, if it is there. */
  readonly repeated: { readonly version: number; readonly id: string; readonly bodyHash: string } | undefined;
  /** Why the stream is quarantined; its events are not given then. */
  readonly quarantined: string | undefined;
  /** Why the stream's partition is not projected. */
  readonly stopped: string | undefined;
}

/** A version of a stream that a record claims. */
export interface Claim extends TopicPartition {
  readonly stream: string;
  readonly version: number;
  readonly recordId: string;
}

/** `pending`: nobody holds the version yet, or not in every build that is read. */
export type Verdict =
  { readonly kind: 'won' | 'lost' | 'pending' } | { readonly kind: 'quarantined' | 'stopped'; readonly reason: string };

/**
 * The write side's view of the accepted records. `event-store/postgres-streams.ts` is the one that runs; the model test of
 * arbitration has another.
 */
export interface StreamStore {
  /** The state's events, the head and the command's earlier effect, all of one snapshot. */
  load(stream: string, where: TopicPartition, afterVersion: number, commandId: string): Promise<StreamSnapshot>;
  /** Verdicts by record id, in the order of the claims. */
  verdicts(claims: readonly Claim[]): Promise<Verdict[]>;
}
