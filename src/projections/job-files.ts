import type { Database } from '../postgres/pool.ts';
import type { RowOf } from './engine/table.ts';
import type { jobTable } from './jobs.ts';

/** A file that a job has made. */
export interface StoredFileView {
  readonly fileId: string;
  readonly ownerId: string;
  /** The name under which the files provider keeps it. */
  readonly stored: string;
  readonly kind: string;
  readonly name: string;
  readonly mediaType: string;
  readonly size: number;
  readonly createdAt: string;
  readonly jobId: string;
}

const COLUMNS = [
  'id',
  'owner_id',
  'file_id',
  'file_stored',
  'file_kind',
  'file_name',
  'file_media_type',
  'file_size',
  'finished_at',
] as const;

const FILE = `SELECT ${COLUMNS.join(', ')} FROM jobs`;

/** A job with a file has succeeded, and none of these columns is null. */
type FileRow = { readonly [Name in (typeof COLUMNS)[number]]: NonNullable<RowOf<typeof jobTable>[Name]> };

const fileOf = (row: FileRow): StoredFileView => ({
  fileId: row.file_id,
  ownerId: row.owner_id,
  stored: row.file_stored,
  kind: row.file_kind,
  name: row.file_name,
  mediaType: row.file_media_type,
  size: row.file_size,
  createdAt: row.finished_at.toISOString(),
  jobId: row.id,
});

export interface FileSearch {
  readonly owner: string;
  readonly limit: number;
  /** The last file of the page before. */
  readonly after?: { readonly createdAt: string; readonly id: string };
}

/** Files of an account's jobs, the newest first. */
export async function filesOf(
  database: Pick<Database, 'query'>,
  { owner, limit, after }: FileSearch,
): Promise<StoredFileView[]> {
  const rows = await database.query<FileRow>({
    name: 'files-of',
    text: `${FILE} WHERE owner_id = $1 AND file_id IS NOT NULL
        AND ($2::timestamptz IS NULL OR (finished_at, id) < ($2, $3))
      ORDER BY finished_at DESC, id DESC LIMIT $4`,
    values: [owner, after?.createdAt ?? null, after?.id ?? null, limit],
  });
  return rows.map(fileOf);
}

/** Of the named files, those that exist. */
export async function findFiles(database: Database, fileIds: readonly string[]): Promise<StoredFileView[]> {
  const text = `${FILE} WHERE file_id = ANY($1)`;
  const query = { name: 'find-files', text, values: [fileIds] };
  return (await database.query<FileRow>(query)).map(fileOf);
}

/** The file of a job; undefined when it made none. */
export async function fileOfJob(database: Database, jobId: string): Promise<StoredFileView | undefined> {
  const text = `${FILE} WHERE id = $1 AND file_id IS NOT NULL`;
  const [row] = await database.query<FileRow>({ name: 'file-of-job', text, values: [jobId] });
  return row && fileOf(row);
}
