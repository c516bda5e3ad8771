import path from 'node:path';
import type { Database } from '../../postgres/pool.ts';
import { coversOf } from '../../projections/albums.ts';
import { findFiles } from '../../projections/job-files.ts';

/** A file that can be packed. */
export interface Packable {
  /** Its name in the store of files. */
  readonly stored: string;
  /** Its name in the archive. */
  readonly name: string;
  readonly mediaType: string;
  /** Bytes; missing where no row says it. */
  readonly size?: number;
}

export interface ArchiveReader {
  /** Account id. */
  readonly account: string;
  /** Whether the files of other accounts may be read as well. */
  readonly readsAll: boolean;
}

/** Files that exist, by id: those of jobs, and covers, whose ids are those of their albums. Files that the reader may not read are left out. */
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

/** The media type says that compression would save nothing, which holds for covers of every kind. */
const coverOf = (albumId: string, stored: string): Packable => ({
  stored,
  name: albumId + path.extname(stored),
  mediaType: 'image/*',
});
