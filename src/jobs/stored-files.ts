import { AppError } from '../errors.ts';
import { type Client, type Database, transaction } from '../postgres/pool.ts';
import { batch } from '../concurrency/batch.ts';

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
  /** Claims that are older, and whose files are not there, are of processes that died. Each is looked for until it was found once, or the signal fires. */
  forgetLost(ageMs: number, isThere: (name: string) => Promise<boolean>, signal?: AbortSignal): Promise<void>;
}

/**
 * Taken before anything is counted or forgotten, in the order of accounts, so that processes wait for one another and none of
 * them counts what another one is just counting.
 */
const LOCK = `INSERT INTO stored_bytes AS s (account_id, bytes)
  SELECT account, 0 FROM unnest($1::text[]) AS a (account) GROUP BY account ORDER BY account COLLATE "C"
  ON CONFLICT (account_id) DO UPDATE SET bytes = s.bytes`;

/** Those that fit, account by account. */
const CLAIM = `WITH asked AS (
    SELECT a.name, a.account, a.bytes, a.bytes - coalesce(f.bytes, 0) AS more
    FROM json_to_recordset($1) AS a (name text, account text, bytes bigint) LEFT JOIN stored_files f USING (name)
  ), wanted AS (
    SELECT account, sum(more) AS more FROM asked GROUP BY account
  ), grown AS (
    UPDATE stored_bytes s SET bytes = s.bytes + more FROM wanted
    WHERE s.account_id = account AND (s.bytes + more <= $2 OR more <= 0) RETURNING account
  )
  INSERT INTO stored_files (name, account_id, bytes) SELECT name, account, bytes FROM asked JOIN grown USING (account)
  ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes, stored_at = now(), found_at = NULL RETURNING name`;

/** Which claims are forgotten, each with parameters of its own. */
const FORGOTTEN = {
  named: 'name = ANY($1)',
  old: `NOT starts_with(name, 'covers/') AND stored_at < now() - $1 * interval '1 ms'`,
  lost: `name = ANY($1) AND found_at IS NULL AND stored_at < now() - $2 * interval '1 ms'`,
};

const LOCK_OF = (condition: string) => `SELECT account_id AS account FROM stored_bytes
  WHERE account_id IN (SELECT account_id FROM stored_files WHERE ${condition}) ORDER BY account_id FOR UPDATE`;

/** `accounts`: the parameter with those whose rows are locked. */
const forgetting = (condition: string, accounts: number) => `WITH gone AS (
    DELETE FROM stored_files WHERE ${condition} AND account_id = ANY($${accounts}) RETURNING account_id, bytes
  ), total AS (SELECT account_id, sum(bytes) AS bytes FROM gone GROUP BY account_id)
  UPDATE stored_bytes s SET bytes = s.bytes - t.bytes FROM total t WHERE s.account_id = t.account_id`;

const NOT_FOUND_YET = `SELECT name FROM stored_files WHERE found_at IS NULL AND stored_at < now() - $1 * interval '1 ms'
  ORDER BY stored_at LIMIT $2`;
const LOOKED_FOR_AT_ONCE = 500;

async function forget(client: Client, which: keyof typeof FORGOTTEN, values: readonly unknown[]): Promise<void> {
  const condition = FORGOTTEN[which];
  const { rows } = await client.query<{ account: string }>(LOCK_OF(condition), [...values]);
  const accounts = rows.map(({ account }) => account);
  await client.query(forgetting(condition, values.length + 1), [...values, accounts]);
}

/** In the namespace's own tables. `most`: bytes of one account. */
export function createStoredFiles(tables: Database, most: number): StoredFiles {
  const inTransaction = <T>(work: (client: Client) => Promise<T>) =>
    tables.use((client) => transaction(client, () => work(client)));

  async function claimAll(files: readonly StoredFile[]): Promise<ReadonlySet<string>> {
    const lock = { name: 'lock-stored-bytes', text: LOCK, values: [files.map(({ account }) => account)] };
    const claim = { name: 'claim-files', text: CLAIM, values: [JSON.stringify(files), most] };
    const { rows } = await inTransaction(async (client) => {
      await client.query(lock);
      return client.query<{ name: string }>(claim);
    });
    return new Set(rows.map(({ name }) => name));
  }
  const claimTogether = batch(async (files: readonly StoredFile[]) => {
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
    forget: (names) => inTransaction((client) => forget(client, 'named', [names])),
    forgetOld: (ageMs) => inTransaction((client) => forget(client, 'old', [ageMs])),
    async forgetLost(ageMs, isThere, signal) {
      for (let looked = LOOKED_FOR_AT_ONCE; looked === LOOKED_FOR_AT_ONCE && !signal?.aborted;) {
        const claims = await tables.query<{ name: string }>({
          text: NOT_FOUND_YET,
          values: [ageMs, LOOKED_FOR_AT_ONCE],
        });
        const [found, lost]: [string[], string[]] = [[], []];
        for (const { name } of claims) {
          if (signal?.aborted) break;
          ((await isThere(name)) ? found : lost).push(name);
        }
        await tables.query({ text: 'UPDATE stored_files SET found_at = now() WHERE name = ANY($1)', values: [found] });
        await inTransaction((client) => forget(client, 'lost', [lost, ageMs]));
        looked = claims.length;
      }
    },
  };
}

const tooMuchStored = (bytes: number, most: number) =>
  new AppError('too-many', 'TOO_MUCH_STORED', `Your files take ${bytes} bytes; they may take ${most}.`);
