import type { AnyEvent } from '../../events/events.ts';

/** An event with the stream and version it won. */
export interface AppliedEvent {
  readonly stream: string;
  readonly version: number;
  /** ISO 8601, UTC: when the command was decided. */
  readonly time: string;
  /** Account id, `anonymous` or `system`. */
  readonly actor: string;
  readonly event: AnyEvent;
}
