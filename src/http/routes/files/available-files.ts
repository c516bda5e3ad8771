import { packableOf, type ArchiveReader } from '../../../jobs/types/archive-files.ts';
import type { Database } from '../../../postgres/pool.ts';
import type { Files } from '../../../providers/files/files.ts';
import { sizeOf } from './file-links.ts';

/** Whether a file can be downloaded by whoever asks. */
export type Availability =
  | { readonly fileId: string; readonly available: true; readonly size: number }
  | { readonly fileId: string; readonly available: false; readonly reason: 'NOT_FOUND' | 'GONE' };

/** Files that are looked at in the store at the same time. */
const AT_ONCE = 20;

/** What can be had of these files, by the rule by which they are packed. In the order of the question. */
export async function availabilityOf(
  { database, files }: { readonly database: Database; readonly files: Pick<Files, 'open'> },
  fileIds: readonly string[],
  reader: ArchiveReader,
): Promise<Availability[]> {
  const packable = await packableOf(database, fileIds, reader);
  const answers: Availability[] = [];
  for (let from = 0; from < fileIds.length; from += AT_ONCE) {
    const some = fileIds.slice(from, from + AT_ONCE);
    answers.push(...(await Promise.all(some.map((fileId) => look(files, fileId, packable.get(fileId)?.stored)))));
  }
  return answers;
}

async function look(files: Pick<Files, 'open'>, fileId: string, stored: string | undefined): Promise<Availability> {
  if (stored === undefined) return { fileId, available: false, reason: 'NOT_FOUND' };
  const size = await sizeOf(files, stored);
  return size === undefined ? { fileId, available: false, reason: 'GONE' } : { fileId, available: true, size };
}
