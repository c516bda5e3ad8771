import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { finished, pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import type { OpenFile } from '../providers/files/files.ts';
import { fold } from '../text.ts';

/** A file to pack. */
export interface ZipEntry {
  /** A name that is invalid or already taken is changed to one that is neither. */
  readonly name: string;
  readonly mediaType: string;
  /** Undefined when there is no such file. */
  open(): Promise<OpenFile | undefined>;
}

export interface PackOptions<Entry> {
  readonly signal: AbortSignal;
  /** Called after each entry. The next entry waits for it. */
  onEntry(entry: Entry, outcome: Outcome): Promise<void>;
}

type Outcome = 'packed' | 'missing';

export interface Packed extends Readonly<Record<Outcome, number>> {
  /** Size of the archive in bytes. */
  readonly size: number;
}

/**
 * Packs the files one after the other into an archive at this path. Only pieces of one file are in memory at a time. When it rejects, with
 * the signal's reason or the first failure, it leaves no file at the path.
 */
export async function packInto<Entry extends ZipEntry>(
  archive: string,
  entries: AsyncIterable<Entry> | Iterable<Entry>,
  { signal, onEntry }: PackOptions<Entry>,
): Promise<Packed> {
  const zip = new ZipFile();
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  zip.on('error', (error: Error) => failed.abort(error));
  const output = createWriteStream(archive);
  const written = pipeline(zip.outputStream, output, { signal: stop });
  const added = addAll(zip, entries, { signal: stop, onEntry });
  try {
    const [counts] = await Promise.all([added, written]);
    return { ...counts, size: output.bytesWritten };
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled([added, written]);
    await rm(archive, { force: true });
    stop.throwIfAborted(); // with the first reason
    throw error;
  }
}

async function addAll<Entry extends ZipEntry>(
  zip: ZipFile,
  entries: AsyncIterable<Entry> | Iterable<Entry>,
  { signal, onEntry }: PackOptions<Entry>,
) {
  const counts = { packed: 0, missing: 0 };
  const unique = uniqueNames();
  for await (const entry of entries) {
    const outcome = await add(zip, entry, unique, signal);
    counts[outcome]++;
    await onEntry(entry, outcome);
  }
  zip.end();
  return counts;
}

async function add(zip: ZipFile, entry: ZipEntry, unique: (name: string) => string, signal: AbortSignal) {
  signal.throwIfAborted();
  const file = await entry.open();
  if (!file) return 'missing';
  const bytes = await file.read();
  try {
    zip.addReadStream(bytes, unique(entry.name), { size: file.size, compress: !DENSE.test(entry.mediaType) });
    await finished(bytes, { signal });
  } finally {
    bytes.destroy();
  }
  return 'packed';
}

/** Media types that compression does not make smaller. */
const DENSE = /^(?:image\/(?!svg)|audio\/|video\/|application\/(?:zip|gzip))/;

/** Makes names unique for file systems that ignore case. */
function uniqueNames(): (wanted: string) => string {
  const counts = new Map<string, number>();
  return (wanted) => {
    const { name: stem, ext } = path.posix.parse(fileNameOf(wanted));
    const first = stem + ext;
    let name = first;
    let count = counts.get(fold(first)) ?? 1;
    while (counts.has(fold(name))) name = `${stem} (${++count})${ext}`;
    counts.set(fold(name), 1).set(fold(first), count);
    return name;
  };
}

const CONTROLS = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?=\.|$)/i;

/** A file name without a folder that every system can unpack and show. */
function fileNameOf(text: string): string {
  const plain = text.toWellFormed().replace(CONTROLS, '_').replace(/[<>:"|?*/\\]/g, '_'); // prettier-ignore
  const { name, ext } = path.posix.parse(plain);
  const short = ext.length > 16 ? cut(plain, 200) : cut(name, 200) + ext;
  return short.replace(/^[. ]+|[. ]+$/g, '_').replace(DEVICE, '_$&') || '_';
}

/** The beginning of a text, with at most so many bytes and only whole characters. */
const cut = (text: string, bytes: number) =>
  new TextDecoder().decode(Buffer.from(text).subarray(0, bytes), { stream: true });
