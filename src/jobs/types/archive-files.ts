import path from 'node:path';
import type { Database } from '../../postgres/pool.ts';
import { coversOf } from '../../projections/albums.ts';
import { findFiles } from '../../projections/job-files.ts';

/** A file that can be packed. */
export interface Packable {
  /** Under which it is kept. */
  readonly stored: string;
  /** As it is called in the archive. */
  readonly name: string;
  readonly mediaType: string;
  /** Bytes; missing where no row tells. */
  readonly size?: number;
}

export interface ArchiveReader {
  /** Account id. */
  readonly account: string;
  /** Whether the files of others may be read, too. */
  readonly readsAll: boolean;
}

/** Those of the files that there are, by id: of jobs, and covers, which are named by their albums. Foreign ones are not. */
export async function packableOf(
  database: Database,
  fileIds: readonly string[],
  { account, readsAll }: ArchiveReader,
): Promise<ReadonlyMap<string, Packable>> {
  const [made, covers] = await Promise.all([findFiles(database, fileIds), coversOf(database, fileIds)]);
  const own = made.filter(({ ownerId }) => readsAll || ownerId === account);
  return new Map<string, Packable>([
    ...own.map((file) => [file.fileId, file] as const),
    ...[...covers].map(([albumId, cover]) => [albumId, coverOf(albumId, cover)] as const),
  ]);
}

/** Covers have been compressed as far as they can be, whichever kind they are. */
const coverOf = (albumId: string, stored: string): Packable => ({
  stored,
  name: albumId + path.extname(stored),
  mediaType: 'image/*',
});
