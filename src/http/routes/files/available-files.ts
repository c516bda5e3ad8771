import { packableOf, type ArchiveReader } from '../../../jobs/types/archive-files.ts';
import type { Database } from '../../../postgres/pool.ts';
import type { Files } from '../../../providers/files/files.ts';
import { sizeOf } from './file-links.ts';

/** Whether the caller can download a file. */
export type Availability =
  | { readonly fileId: string; readonly available: true; readonly size: number }
  | { readonly fileId: string; readonly available: false; readonly reason: 'NOT_FOUND' | 'GONE' };

/** Files that are checked in the store concurrently. */
const CONCURRENCY = 20;

/** The availability of each file, by the same rule as for archives, in the order of `fileIds`. */
export async function availabilityOf(
  { database, files }: { readonly database: Database; readonly files: Pick<Files, 'open'> },
  fileIds: readonly string[],
  reader: ArchiveReader,
): Promise<Availability[]> {
  const packable = await packableOf(database, fileIds, reader);
  const answers: Availability[] = [];
  for (let from = 0; from < fileIds.length; from += CONCURRENCY) {
    const part = fileIds.slice(from, from + CONCURRENCY);
    answers.push(...(await Promise.all(part.map((fileId) => checkFile(files, fileId, packable.get(fileId)?.stored)))));
  }
  return answers;
}

async function checkFile(
  files: Pick<Files, 'open'>,
  fileId: string,
  stored: string | undefined,
): Promise<Availability> {
  if (stored === undefined) return { fileId, available: false, reason: 'NOT_FOUND' };
  const size = await sizeOf(files, stored);
  return size === undefined ? { fileId, available: false, reason: 'GONE' } : { fileId, available: true, size };
}
