import type { AnyEvent } from '../events/events.ts';
import type { TopicPartition } from '../events/record.ts';

/** A stream as one snapshot of the database shows it. */
export interface StreamSnapshot {
  /** Accepted events after the requested version, in order. */
  readonly events: readonly { readonly version: number; readonly id: string; readonly event: AnyEvent }[];
  /** The accepted record of the requested command, if it had its effect before. */
  readonly repeated: { readonly version: number; readonly id: string; readonly bodyHash: string } | undefined;
  /** Why the stream is quarantined; `events` is empty then. */
  readonly quarantined: string | undefined;
  /** Why the stream's partition is not projected. */
  readonly stopped: string | undefined;
}

/** The version of a stream that a record claims. */
export interface Claim extends TopicPartition {
  readonly stream: string;
  readonly version: number;
  readonly recordId: string;
}

/** `pending`: the version is not taken yet, or not in every generation that is read. */
export type Verdict =
  { readonly kind: 'won' | 'lost' | 'pending' } | { readonly kind: 'quarantined' | 'stopped'; readonly reason: string };

/** The accepted records as the write side reads them. `postgres-streams.ts` implements it; the model of arbitration has its own. */
export interface StreamStore {
  /** The events, the head and the command's earlier effect, all from one snapshot. */
  load(stream: string, where: TopicPartition, afterVersion: number, commandId: string): Promise<StreamSnapshot>;
  /** The verdict on each claim, in the order of the claims. */
  verdicts(claims: readonly Claim[]): Promise<Verdict[]>;
}
