import type { AnyEvent } from '../../../src/events/events.ts';

/** The operations of clients and their outcomes: plain data, in the order in which the operations began. */
export interface History {
  readonly seed: number;
  readonly operations: readonly Operation[];
}

/** An operation of a client, and every request that was sent for it. */
export interface Operation {
  /** Shown in violations: client and number, `3.17`. */
  readonly name: string;
  readonly request: PlannedRequest;
  /** The Idempotency-Key of all attempts. Without one there is one attempt. */
  readonly key?: string;
  readonly attempts: readonly Attempt[];
}

/** A person who is registered and logged in. */
export interface Person {
  readonly id: string;
  readonly username: string;
  readonly accessToken: string;
}

/** A request before it is sent. */
export interface PlannedRequest {
  /** A category of `categories.ts`, which interprets the answer. */
  readonly category: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly json?: object;
  /** The person who asks; undefined for an anonymous request. */
  readonly as?: Person;
  /** For a write: the one record that must result. */
  readonly effect?: Effect;
}

export interface Effect {
  /** Undefined where the answer names it, because it is new. */
  readonly stream?: string;
  /** The record's event; fields that are not named here may be anything, those of items of a list too. */
  readonly event: { readonly type: AnyEvent['type'] } & Readonly<Record<string, unknown>>;
  /** The version that `If-Match` requires. */
  readonly follows?: number;
}

/** One request and its answer. Times are milliseconds of the one clock that all clients share. */
export interface Attempt {
  /** Its `X-Request-Id`, which the record of a write carries as correlation id. */
  readonly id: string;
  /** The process that was asked. */
  readonly url: string;
  readonly start: number;
  /** When the answer was complete, or when the client gave up. */
  readonly end: number;
  readonly outcome: Outcome;
}

/**
 * - `ok`: 2xx;
 * - `refused`: 4xx, or the 503 that says that nothing happened: this attempt must have no effect;
 * - `unknown`: any other 5xx, no answer in time, a broken connection.
 */
export type Outcome =
  | {
      readonly kind: 'ok';
      readonly status: number;
      readonly etag?: string;
      readonly replayed: boolean;
      /** `cache` or `database`, where the answer names its source. */
      readonly source?: string;
      readonly body: unknown;
    }
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly etag?: string }
  | { readonly kind: 'unknown'; readonly status?: number; readonly why: string };

/** A broken promise. */
export interface Violation {
  readonly rule: Rule;
  /** The request, what it saw, and what the log says. */
  readonly message: string;
}

export type Rule =
  /** An acknowledged write has no accepted record. */
  | 'lost-write'
  /** A rejected attempt has an accepted record. */
  | 'refused-write-present'
  /** One operation, or one command id, has several accepted records. */
  | 'doubled-effect'
  /** The log has a record without a request. */
  | 'unrequested-record'
  /** The record differs from its request, or names another actor. */
  | 'wrong-record'
  /** An accepted record that the state just before it did not allow. */
  | 'illegal-record'
  /** An offset is missing or occurs twice. */
  | 'gap-in-offsets'
  /** A record claims a version, or to follow a record, that its writer cannot have seen. */
  | 'gap-in-versions'
  /** A record has a foreign form, its checksums are wrong, or it won and cannot be decoded. */
  | 'broken-record'
  /** A read shows something older than an answer before it began. */
  | 'stale-read'
  /** A read shows something whose deletion was known before it began. */
  | 'deleted-shown'
  /** A read shows something whose request began only after the read's end. */
  | 'early-read'
  /** A read shows something that is no version within its bounds. */
  | 'wrong-value'
  /** A write is ordered before something that was answered before it began. */
  | 'late-write'
  /** A status that this request can never get. */
  | 'unexpected-answer'
  /** `stream_events` differs from the accepted records of the log. */
  | 'stream-events-differ'
  /** A read model differs from the fold of the log. */
  | 'rows-differ'
  /** A checkpoint is not at the end of the log, or its partition is stopped. */
  | 'checkpoint-differs'
  /** A stream is quarantined without an undecodable record; or the reverse. */
  | 'quarantined'
  /** A rebuild from offset 0 gives other tables than the live ones. */
  | 'rebuild-differs';
