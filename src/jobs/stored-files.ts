import { z } from 'zod';
import { AppError } from '../errors.ts';
import { type Client, type Database, transaction } from '../postgres/pool.ts';
import { batch } from '../concurrency/batch.ts';

/** A file whose bytes count against an account. */
export interface StoredFile {
  /** Its name in the store of files. */
  readonly name: string;
  /** Account id. */
  readonly account: string;
  readonly bytes: number;
}

/** How many bytes the files of each account take. */
export interface StoredFiles {
  /** Throws 429 when the account has no room for that many more bytes. */
  mustHaveRoom(account: string, bytes: number): Promise<void>;
  /** Counts a file before it is stored. Storing it again counts once. Throws 429 when there is no room for it. */
  claim(file: StoredFile): Promise<void>;
  /** Removes files of these names, which have been deleted. */
  forget(names: readonly string[]): Promise<void>;
  /** Removes files of jobs that are older than this, which have been deleted or were never stored. */
  forgetOld(ageMs: number): Promise<void>;
  /**
   * Removes claims of processes that died: those that are older than this and whose files do not exist. Each file is looked for until it was
   * found once. Stops when the signal fires.
   */
  forgetLost(ageMs: number, isThere: (name: string) => Promise<boolean>, signal?: AbortSignal): Promise<void>;
}

/**
 * Locks the rows of accounts before anything is counted or removed, in the order of accounts. So processes wait for one another, and none
 * counts what another one is counting.
 */
const LOCK = `INSERT INTO stored_bytes AS s (account_id, bytes)
  SELECT account, 0 FROM unnest($1::text[]) AS a (account) GROUP BY account ORDER BY account COLLATE "C"
  ON CONFLICT (account_id) DO UPDATE SET bytes = s.bytes`;

/** Claims the files of the accounts that have room for all of theirs. */
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

/** Which claims are removed, each condition with its own parameters. */
const CONDITIONS = {
  named: 'name = ANY($1)',
  old: `NOT starts_with(name, 'covers/') AND stored_at < now() - $1 * interval '1 ms'`,
  lost: `name = ANY($1) AND found_at IS NULL AND stored_at < now() - $2 * interval '1 ms'`,
};

const LOCK_OF = (condition: string) => `SELECT account_id AS account FROM stored_bytes
  WHERE account_id IN (SELECT account_id FROM stored_files WHERE ${condition}) ORDER BY account_id FOR UPDATE`;

/** `accounts`: number of the parameter with the locked accounts. */
const deletionOf = (condition: string, accounts: number) => `WITH gone AS (
    DELETE FROM stored_files WHERE ${condition} AND account_id = ANY($${accounts}) RETURNING account_id, bytes
  ), total AS (SELECT account_id, sum(bytes) AS bytes FROM gone GROUP BY account_id)
  UPDATE stored_bytes s SET bytes = s.bytes - t.bytes FROM total t WHERE s.account_id = t.account_id`;

const NOT_FOUND_YET = `SELECT name FROM stored_files WHERE found_at IS NULL AND stored_at < now() - $1 * interval '1 ms'
  ORDER BY stored_at LIMIT $2`;
const LOST_PAGE = 500;

const nameRows = z.array(z.object({ name: z.string() }));
const accountRows = z.array(z.object({ account: z.string() }));
const byteRows = z.array(z.object({ bytes: z.number() }));

async function forget(client: Client, which: keyof typeof CONDITIONS, values: readonly unknown[]): Promise<void> {
  const condition = CONDITIONS[which];
  const { rows } = await client.query(LOCK_OF(condition), [...values]);
  const accounts = accountRows.parse(rows).map(({ account }) => account);
  await client.query(deletionOf(condition, values.length + 1), [...values, accounts]);
}

/** In the namespace's own tables. `maxBytes`: the limit of one account. */
export function createStoredFiles(tables: Database, maxBytes: number): StoredFiles {
  const inTransaction = <T>(work: (client: Client) => Promise<T>) =>
    tables.use((client) => transaction(client, () => work(client)));

  async function claimAll(files: readonly StoredFile[]): Promise<ReadonlySet<string>> {
    const lock = { name: 'lock-stored-bytes', text: LOCK, values: [files.map(({ account }) => account)] };
    const claim = { name: 'claim-files', text: CLAIM, values: [JSON.stringify(files), maxBytes] };
    const { rows } = await inTransaction(async (client) => {
      await client.query(lock);
      return client.query(claim);
    });
    return new Set(nameRows.parse(rows).map(({ name }) => name));
  }
  const batchClaim = batch(async (files: readonly StoredFile[]) => {
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
    return byteRows.parse(await tables.query(query))[0]?.bytes ?? 0;
  }

  return {
    async mustHaveRoom(account, bytes) {
      const before = await stored(account);
      if (before + bytes > maxBytes || before >= maxBytes) throw tooMuchStored(before, maxBytes);
    },
    async claim(file) {
      if (await batchClaim(file)) return;
      // The files of one account in a batch may be too many together when each alone is not.
      if (!(await claimAll([file])).has(file.name)) throw tooMuchStored(await stored(file.account), maxBytes);
    },
    forget: (names) => inTransaction((client) => forget(client, 'named', [names])),
    forgetOld: (ageMs) => inTransaction((client) => forget(client, 'old', [ageMs])),
    async forgetLost(ageMs, isThere, signal) {
      for (let looked = LOST_PAGE; looked === LOST_PAGE && !signal?.aborted;) {
        const claims = nameRows.parse(await tables.query({ text: NOT_FOUND_YET, values: [ageMs, LOST_PAGE] }));
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
