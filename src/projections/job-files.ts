import type { Database } from '../postgres/pool.ts';

/** A file that a job has made. */
export interface StoredFileView {
  readonly fileId: string;
  readonly ownerId: string;
  /** Under which it is kept. */
  readonly stored: string;
  readonly kind: string;
  readonly name: string;
  readonly mediaType: string;
  readonly size: number;
  readonly createdAt: string;
  readonly jobId: string;
}

const FILE = `SELECT file_id AS "fileId", owner_id AS "ownerId", file_stored AS stored, file_kind AS kind, file_name AS name,
    file_media_type AS "mediaType", file_size AS size, finished_at AS "createdAt", id AS "jobId"
  FROM jobs`;

type FileRow = Omit<StoredFileView, 'createdAt'> & { readonly createdAt: Date };

const fileOf = ({ createdAt, ...file }: FileRow): StoredFileView => ({ ...file, createdAt: createdAt.toISOString() });

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
  const rows = await database.query<FileRow & Record<string, unknown>>({
    name: 'files-of',
    text: `${FILE} WHERE owner_id = $1 AND file_id IS NOT NULL
        AND ($2::timestamptz IS NULL OR (finished_at, id) < ($2, $3))
      ORDER BY finished_at DESC, id DESC LIMIT $4`,
    values: [owner, after?.createdAt ?? null, after?.id ?? null, limit],
  });
  return rows.map(fileOf);
}

/** Those of the named files that there are. */
export async function findFiles(database: Database, fileIds: readonly string[]): Promise<StoredFileView[]> {
  const text = `${FILE} WHERE file_id = ANY($1)`;
  const query = { name: 'find-files', text, values: [fileIds] };
  return (await database.query<FileRow & Record<string, unknown>>(query)).map(fileOf);
}

/** The file of a job; undefined when it made none. */
export async function fileOfJob(database: Database, jobId: string): Promise<StoredFileView | undefined> {
  const text = `${FILE} WHERE id = $1 AND file_id IS NOT NULL`;
  const [row] = await database.query<FileRow & Record<string, unknown>>({ name: 'file-of-job', text, values: [jobId] });
  return row && fileOf(row);
}
