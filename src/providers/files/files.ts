import type { Readable } from 'node:stream';
import type { Stoppable } from '../../lifecycle.ts';

/** Keeps files under names of our own. A name is used once and its bytes never change. */
export interface Files extends Stoppable {
  /**
   * When it resolves the bytes are durable under the name. When it rejects nothing is there, or, where only the answer was
   * lost, all of it.
   */
  put(name: string, bytes: Buffer, mediaType: string): Promise<void>;
  /** Undefined when there is no such file. */
  open(name: string): Promise<OpenFile | undefined>;
  /** Everything whose name begins so, what was left half-written included. */
  list(prefix: string): AsyncIterable<ListedFile>;
  /** Does nothing when it is not there. */
  remove(name: string): Promise<void>;
  /** Rejects when files cannot be kept at the moment. */
  check(): Promise<void>;
}

export interface OpenFile {
  /** Bytes. */
  readonly size: number;
  /** Both ends included, as in HTTP; all of it without a range. */
  read(range?: ByteRange): Promise<Readable>;
  /** Must follow when nothing was read. */
  close(): Promise<void>;
}

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface ListedFile {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly modifiedAt: number;
}
