import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type { Stoppable } from '../../lifecycle.ts';
import type { ProviderDefinition, SettingsOf } from '../definition.ts';

/**
 * Keeps files under names that OpenMusic makes. A name always has one whole file: another `put`, as by a second attempt, replaces
 * the file.
 */
export interface Files extends Stoppable {
  /**
   * Resolves when the bytes are durable under the name. After a rejection the name has what it had before, or all of the bytes if
   * only the answer was lost.
   */
  put(name: string, bytes: Buffer, mediaType: string): Promise<void>;
  /** As `put`, of a file of any size on this machine. The file has been moved away when it resolves. */
  putFile(name: string, path: string, mediaType: string): Promise<void>;
  /** Gives a URL that downloads the file from the provider itself until `expires`, to the second. Missing where the provider has no URLs. */
  link?(name: string, link: FileLink): Promise<string>;
  /** Undefined when there is no such file. */
  open(name: string): Promise<OpenFile | undefined>;
  /** Lists all names with this prefix, those of half-written files included. */
  list(prefix: string): AsyncIterable<ListedFile>;
  /** Does nothing when there is no such file. */
  remove(name: string): Promise<void>;
  /** Rejects when files cannot be written at the moment. */
  check(): Promise<void>;
}

export interface FileLink {
  /** The name under which a browser saves the file. */
  readonly name: string;
  readonly mediaType: string;
  readonly expires: Date;
}

export interface OpenFile {
  /** Bytes. */
  readonly size: number;
  /** Includes both ends of the range, as in HTTP. Without a range it reads the whole file. */
  read(range?: ByteRange): Promise<Readable>;
  /** Must be called when nothing is read. */
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

/** The settings that every provider of files has beside its own. */
interface FilesSettings {
  readonly DATA_DIR: string;
  /** Each namespace has a folder of its own, because its sweep deletes files that its rows do not name. */
  readonly NAMESPACE: string;
}

interface FilesProviderDefinition<Name extends string, Shape extends z.ZodRawShape> extends ProviderDefinition<
  Name,
  Shape
> {
  /** Imports what the provider needs, so that a provider that is not chosen costs no start time. */
  open(config: SettingsOf<Shape> & FilesSettings): Promise<Files>;
}

/** Gives the definition back; it infers the types of its settings. */
export const defineFilesProvider = <Name extends string, Shape extends z.ZodRawShape>(
  definition: FilesProviderDefinition<Name, Shape>,
): FilesProviderDefinition<Name, Shape> => definition;
