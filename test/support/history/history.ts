import type { AnyEvent } from '../../../src/events/events.ts';

/** What clients did and what came of it: plain data, in the order in which the operations began. */
export interface History {
  readonly seed: number;
  readonly operations: readonly Operation[];
}

/** Something a client wanted, and every time it was sent. */
export interface Operation {
  /** Shown in violations: client and number, `3.17`. */
  readonly name: string;
  readonly wish: Wish;
  /** The Idempotency-Key under which all attempts were sent. Without one there is one attempt. */
  readonly key?: string;
  readonly attempts: readonly Attempt[];
}

/** Somebody who is registered and logged in. */
export interface Person {
  readonly id: string;
  readonly username: string;
  readonly accessToken: string;
}

/** A request before it is sent. */
export interface Wish {
  /** Of `categories.ts`: who knows what the answer means. */
  readonly category: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly json?: object;
  /** Who asks; anybody where it does not matter. */
  readonly as?: Person;
  /** Of a write: what its one record must be. */
  readonly effect?: Effect;
}

export interface Effect {
  /** Undefined where the answer names it: something new. */
  readonly stream?: string;
  /** The record's event; fields that are not named here may be anything, those of items of a list too. */
  readonly event: { readonly type: AnyEvent['type'] } & Readonly<Record<string, unknown>>;
  /** The version that `If-Match` insists on. */
  readonly follows?: number;
}

/** One request and its answer. Times are milliseconds of the one clock that all clients share. */
export interface Attempt {
  /** Its `X-Request-Id`, which the record of a write carries as correlation id. */
  readonly id: string;
  /** The process that was asked. */
  readonly url: string;
  readonly start: number;
  /** When the whole answer was there, or when the client gave up. */
  readonly end: number;
  readonly outcome: Outcome;
}

/**
 * - `ok`: 2xx;
 * - `refused`: 4xx, or the 503 that says that nothing happened: there must be no effect of this very attempt;
 * - `unknown`: any other 5xx, no answer in time, a broken connection.
 */
export type Outcome =
  | {
      readonly kind: 'ok';
      readonly status: number;
      readonly etag?: string;
      readonly replayed: boolean;
      /** `cache` or `database`, where the answer says where it comes from. */
      readonly source?: string;
      readonly body: unknown;
    }
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly etag?: string }
  | { readonly kind: 'unknown'; readonly status?: number; readonly why: string };

/** A promise that was not kept. */
export interface Violation {
  readonly rule: Rule;
  /** Which request, what it saw, what the log says. */
  readonly message: string;
}

export type Rule =
  /** A write that was acknowledged has no accepted record. */
  | 'lost-write'
  /** An attempt that was refused has an accepted record. */
  | 'refused-write-present'
  /** One operation, or one command id, has several accepted records. */
  | 'doubled-effect'
  /** The log has a record that no request made. */
  | 'unrequested-record'
  /** The record is not what its request asked for, or names another actor. */
  | 'wrong-record'
  /** An accepted record that had to be refused as things stood just before it. */
  | 'illegal-record'
  /** An offset is missing or stands twice. */
  | 'gap-in-offsets'
  /** A record claims a version, or to follow a record, that nobody can have seen at its place. */
  | 'gap-in-versions'
  /** A record is not one of ours, its checksums are wrong, or it won and cannot be decoded. */
  | 'broken-record'
  /** A read shows something older than what was answered before it began. */
  | 'stale-read'
  /** A read shows what was known to be deleted before it began. */
  | 'deleted-shown'
  /** A read shows something whose request began only after the read's end. */
  | 'early-read'
  /** A read shows what no version within its bounds is. */
  | 'wrong-value'
  /** A write was put before something that was answered before it began. */
  | 'late-write'
  /** A status that this request never gets. */
  | 'unexpected-answer'
  /** `stream_events` is not the accepted records of the log. */
  | 'stream-events-differ'
  /** A read model is not the fold of the log. */
  | 'rows-differ'
  /** A checkpoint is not at the end of the log, or its partition is stopped. */
  | 'checkpoint-differs'
  /** A stream is quarantined, and not by such a record; or the other way round. */
  | 'quarantined'
  /** A rebuild from offset 0 gives other tables than the live ones. */
  | 'rebuild-differs';
