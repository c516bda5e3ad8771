import type { Readable } from 'node:stream';
import type { Stoppable } from '../../lifecycle.ts';

/**
 * Keeps files under names of our own. What a name has is always one whole file: put again, as by a second attempt, the
 * later takes the place of the earlier.
 */
export interface Files extends Stoppable {
  /**
   * When it resolves the bytes are durable under the name. When it rejects the name has what it had before, or, where only
   * the answer was lost, all of them.
   */
  put(name: string, bytes: Buffer, mediaType: string): Promise<void>;
  /** As `put`, of a file on this machine, however large, which is gone from there when it resolves. */
  putFile(name: string, path: string, mediaType: string): Promise<void>;
  /** Where anybody can download the file without us until then; missing where nobody can. Expires to the second. */
  link?(name: string, link: FileLink): Promise<string>;
  /** Undefined when there is no such file. */
  open(name: string): Promise<OpenFile | undefined>;
  /** Everything whose name begins so, what was left half-written included. */
  list(prefix: string): AsyncIterable<ListedFile>;
  /** Does nothing when it is not there. */
  remove(name: string): Promise<void>;
  /** Rejects when files cannot be kept at the moment. */
  check(): Promise<void>;
}

export interface FileLink {
  /** As the file is called when it is downloaded. */
  readonly name: string;
  readonly mediaType: string;
  readonly expires: Date;
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
