import { AppError } from '../errors.ts';
import type { Database } from '../postgres/pool.ts';
import { together } from '../together.ts';

/** A file whose bytes count for an account. */
export interface StoredFile {
  /** Under which it is kept. */
  readonly name: string;
  /** Account id. */
  readonly account: string;
  readonly bytes: number;
}

/** What the files of each account take of the store. */
export interface StoredFiles {
  /** Throws 429 when the account has no room for so many bytes more. */
  mustHaveRoom(account: string, bytes: number): Promise<void>;
  /** Counts a file that is about to be kept, once however often it is. Throws 429 when there is no room for it. */
  claim(file: StoredFile): Promise<void>;
  /** Files of these names are deleted. */
  forget(names: readonly string[]): Promise<void>;
  /** Files of jobs that are older have been deleted, or were never kept. */
  forgetOld(ageMs: number): Promise<void>;
}

/** Those that fit, account by account: the row of an account is locked until all of its files are counted. */
const CLAIM = `WITH asked AS (
    SELECT a.name, a.account, a.bytes, a.bytes - coalesce(f.bytes, 0) AS more
    FROM json_to_recordset($1) AS a (name text, account text, bytes bigint) LEFT JOIN stored_files f USING (name)
  ), grown AS (
    INSERT INTO stored_bytes AS s (account_id, bytes)
    SELECT account, sum(more) FROM asked GROUP BY account HAVING sum(more) <= $2 ORDER BY account
    ON CONFLICT (account_id) DO UPDATE SET bytes = s.bytes + excluded.bytes WHERE s.bytes + excluded.bytes <= $2 OR excluded.bytes <= 0
    RETURNING account_id
  )
  INSERT INTO stored_files (name, account_id, bytes) SELECT name, account, bytes FROM asked JOIN grown ON account_id = account
  ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes, stored_at = now() RETURNING name`;

const shrunk = (condition: string) => `WITH gone AS (
    DELETE FROM stored_files WHERE ${condition} RETURNING account_id, bytes
  ), total AS (SELECT account_id, sum(bytes) AS bytes FROM gone GROUP BY account_id)
  UPDATE stored_bytes s SET bytes = s.bytes - t.bytes FROM total t WHERE s.account_id = t.account_id`;

const FORGET = shrunk('name = ANY($1)');
const FORGET_OLD = shrunk(`NOT starts_with(name, 'covers/') AND stored_at < now() - $1 * interval '1 ms'`);

/** In the namespace's own tables. `most`: bytes of one account. */
export function createStoredFiles(tables: Database, most: number): StoredFiles {
  async function claimAll(files: readonly StoredFile[]): Promise<ReadonlySet<string>> {
    const query = { name: 'claim-files', text: CLAIM, values: [JSON.stringify(files), most] };
    return new Set((await tables.query<{ name: string }>(query)).map(({ name }) => name));
  }
  const claimTogether = together(async (files: readonly StoredFile[]) => {
    const unique = [...new Map(files.map((file) => [file.name, file])).values()];
    const claimed = await claimAll(unique);
    return files.map(({ name }) => claimed.has(name));
  }, 200);

  async function stored(account: string): Promise<number> {
    const query = {
      name: 'stored-bytes',
      text: 'SELECT bytes FROM stored_bytes WHERE account_id = $1',
      values: [account],
    };
    return (await tables.query<{ bytes: number }>(query))[0]?.bytes ?? 0;
  }

  return {
    async mustHaveRoom(account, bytes) {
      const before = await stored(account);
      if (before + bytes > most || before >= most) throw tooMuchStored(before, most);
    },
    async claim(file) {
      if (await claimTogether(file)) return;
      // All that an account asks for at the same time may be too much, and each alone may not.
      if (!(await claimAll([file])).has(file.name)) throw tooMuchStored(await stored(file.account), most);
    },
    async forget(names) {
      await tables.query({ name: 'forget-files', text: FORGET, values: [names] });
    },
    async forgetOld(ageMs) {
      await tables.query({ name: 'forget-old-files', text: FORGET_OLD, values: [ageMs] });
    },
  };
}

const tooMuchStored = (bytes: number, most: number) =>
  new AppError('too-many', 'TOO_MUCH_STORED', `Your files take ${bytes} bytes; they may take ${most}.`);
