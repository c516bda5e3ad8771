import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

/** What was written: the bytes of the file, or of what went to stdout. */
export interface Written {
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
}

/**
 * Writes chunks to a file, or to stdout without one. A file whose name ends with `.gz` is packed. It gets its name when it is whole;
 * until then, and after a failure, nothing is at that name that was not there before.
 */
export async function writeOut(
  chunks: AsyncIterable<string | Uint8Array>,
  file: string | undefined,
  signal: AbortSignal,
): Promise<Written> {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* counted(source: AsyncIterable<string | Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const text of source) {
      const chunk = typeof text === 'string' ? Buffer.from(text) : text;
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const source = Readable.from(chunks, { objectMode: true });
  if (file === undefined) await pipeline(source, counted, process.stdout, { signal, end: false });
  else if (!file.endsWith('.gz')) await writeFile(file, (out) => pipeline(source, counted, out, { signal }));
  else await writeFile(file, (out) => pipeline(source, createGzip(), counted, out, { signal }));
  return { bytes, sha256: hash.digest('hex') };
}

async function writeFile(file: string, write: (out: NodeJS.WritableStream) => Promise<void>): Promise<void> {
  const part = `${file}.part`;
  try {
    await write(createWriteStream(part));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
