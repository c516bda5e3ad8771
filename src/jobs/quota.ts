import { LRUCache } from 'lru-cache';
import { AppError } from '../errors.ts';
import { lockUntilEnd } from '../postgres/advisory-lock.ts';
import { type Database, transaction } from '../postgres/pool.ts';
import { JOB_LOADS, type JobLoad, REPEATING_OF } from '../projections/jobs.ts';
import { batch } from '../concurrency/batch.ts';

export interface QuotaOptions {
  readonly database: Database;
  /** How many unfinished jobs an account may have. */
  readonly unfinished: number;
  /** How many jobs an account may begin in so many seconds, requests and occurrences of repeating jobs together. */
  readonly rate: { readonly count: number; readonly seconds: number } | undefined;
  /** How many unfinished repeating jobs a user may have. */
  readonly repeats: number;
}

/** A job that is about to be recorded. */
interface JobToCome {
  readonly jobId: string;
  /** Version of its stream before that; 0 when the job is new. */
  readonly version: number;
  /** Whether it is a repeating job of a user. */
  readonly repeats?: boolean;
}

/**
 * Throws 429 when an account has as many jobs as it may have, or has begun as many as it may for now. Otherwise it reserves a place for
 * the job, until the job is recorded or 10 s have passed. Call it before anything is stored for the job.
 */
export type MustHaveRoom = (account: string, job: JobToCome) => Promise<void>;

const ACCOUNTS_REMEMBERED = 10_000;
const COUNTED_AGAIN_MS = 1_000;
const NONE: JobLoad = { unfinished: 0, started: 0 };
/** A job that has not been recorded by then never is, because its process has died or the job was refused. */
const RECORDED_WITHIN_MS = 10_000;

/** The load of an account, as a process has counted it. */
interface AccountLoad {
  /** Resolves once the load is known. */
  ready: Promise<unknown>;
  load: JobLoad;
  /** When counting began, in milliseconds of `performance.now()`. */
  countedAt: number;
  /** Jobs that were admitted without counting, by id. */
  readonly uncounted: Map<string, { readonly version: number; readonly at: number }>;
}

interface Asking extends JobToCome {
  readonly account: string;
  readonly known: AccountLoad;
}

/** Makes other processes wait until this one has counted. */
const LOCK = `SELECT ${lockUntilEnd(`'openmusic quota ' || account`)}
  FROM (SELECT account FROM unnest($1::text[]) AS a (account) GROUP BY account ORDER BY account COLLATE "C") a`;

/** The jobs of `coming` that are not recorded yet. */
const UNWRITTEN = `SELECT account, count(*) AS unfinished, count(*) FILTER (WHERE c.version = 0) AS started,
    count(*) FILTER (WHERE c.repeats) AS repeating
  FROM coming c
  WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = c.job_id AND j.version > c.version) GROUP BY account`;

const UNDER_WAY = `SELECT account_id AS account, job_id, version, repeats FROM jobs_under_way WHERE account_id = ANY($1) AND expires_at > now()`;

const COUNT = `WITH written AS (${JOB_LOADS}), coming AS (${UNDER_WAY}), unwritten AS (${UNWRITTEN})
  SELECT w.account, w.unfinished + coalesce(u.unfinished, 0) AS unfinished, w.started + coalesce(u.started, 0) AS started
  FROM written w LEFT JOIN unwritten u USING (account)`;

/**
 * Counts recorded jobs and those that are about to be, in one snapshot, and gives places to as many of those that ask (`$5`, in the
 * order of `place`) as there is room for.
 */
const TAKE = `WITH written AS (${JOB_LOADS}), given AS (
    SELECT * FROM json_to_recordset($5) AS g (account text, "jobId" text, version int, repeats boolean, place int)
  ), gone AS (
    DELETE FROM jobs_under_way WHERE account_id = ANY($1) AND expires_at <= now() AND job_id NOT IN (SELECT "jobId" FROM given)
  ), coming AS (
    ${UNDER_WAY} AND job_id NOT IN (SELECT "jobId" FROM given)
    UNION ALL SELECT account, "jobId", version, repeats FROM given WHERE place IS NULL
  ), unwritten AS (${UNWRITTEN}), asking AS (
    SELECT *, row_number() OVER own AS unfinished, count(*) FILTER (WHERE version = 0) OVER own AS started,
      count(*) FILTER (WHERE repeats) OVER own AS repeating
    FROM given WHERE place IS NOT NULL WINDOW own AS (PARTITION BY account ORDER BY place)
  ), placed AS (
    SELECT account, a."jobId", a.version, a.repeats, a.place, w.unfinished + coalesce(u.unfinished, 0) + a.unfinished AS unfinished,
      w.started + coalesce(u.started, 0) + a.started AS started,
      CASE WHEN a.repeats THEN (${REPEATING_OF('account')}) + coalesce(u.repeating, 0) + a.repeating END AS repeating
    FROM asking a JOIN written w USING (account) LEFT JOIN unwritten u USING (account)
  ), taken AS (
    INSERT INTO jobs_under_way (job_id, account_id, version, repeats, expires_at)
    SELECT "jobId", account, version, repeats, now() + $6 * interval '1 ms' FROM (
      SELECT "jobId", account, version, repeats FROM placed
      WHERE unfinished <= $2 AND ($3 = 0 OR started <= $3) AND (repeating IS NULL OR repeating <= $7)
      UNION SELECT "jobId", account, version, repeats FROM given WHERE place IS NULL) t
    ON CONFLICT (job_id) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at
  )
  SELECT unfinished, started, repeating FROM placed ORDER BY place`;

interface Placed extends JobLoad {
  /** Null where the job does not repeat. */
  readonly repeating: number | null;
}

/** The part of an account's limit that each process may admit without telling the other processes. */
const UNCOUNTED = 1 / 20;

/**
 * An account below half of its limit is counted once a second, and each time that a process has admitted a twentieth of the limit, which
 * costs few requests anything. Above that each job is counted, by one process at a time, together with all jobs that are about to be
 * recorded. What other processes admit uncounted at the same moment is missing there: with several processes an account can exceed its
 * limit by at most a twentieth for each, with one process not at all.
 */
export function createQuota({ database, unfinished, rate, repeats: repeating }: QuotaOptions): MustHaveRoom {
  const limits = { unfinished, started: rate?.count ?? 0, seconds: rate?.seconds ?? 0, repeating };
  const loadOfAccount = rememberLoads(batch((accounts: readonly string[]) => countAll(database, limits, accounts)));
  const take = batch((asked: readonly Asking[]) => takeAll(database, limits, asked));

  function mustBeCounted({ load, uncounted }: AccountLoad): boolean {
    const admitted = uncounted.size + 1;
    const isNear = (count: number, most: number) => count + admitted > most / 2 || admitted > most * UNCOUNTED;
    return isNear(load.unfinished, unfinished) || (rate !== undefined && isNear(load.started, rate.count));
  }

  return async (account, { jobId, version, repeats = false }) => {
    const known = loadOfAccount(account);
    await known.ready;
    if (!repeats && !mustBeCounted(known)) {
      known.uncounted.set(jobId, { version, at: performance.now() });
      return;
    }
    const placed = await take({ account, jobId, version, repeats, known });
    if (placed.repeating !== null && placed.repeating > repeating)
      throw new AppError('too-many', 'TOO_MANY_REPEATS', `You have ${repeating} repeating jobs that have not ended.`);
    if (placed.unfinished > unfinished)
      throw new AppError('too-many', 'TOO_MANY_JOBS', `You have ${unfinished} jobs that have not ended.`);
    if (rate && placed.started > rate.count) {
      const message = `You have begun ${rate.count} jobs within ${rate.seconds} s. Please try again later.`;
      throw new AppError('too-many', 'TOO_MANY_REQUESTS', message, { retryAfter: rate.seconds });
    }
  };
}

/** Remembers the loads of accounts, and counts an account again when its count is older than a second. */
function rememberLoads(loadOf: (account: string) => Promise<JobLoad>): (account: string) => AccountLoad {
  const accounts = new LRUCache<string, AccountLoad>({ max: ACCOUNTS_REMEMBERED });

  function count(account: string, known: AccountLoad): void {
    const now = performance.now();
    for (const [jobId, { at }] of known.uncounted) if (now - at >= RECORDED_WITHIN_MS) known.uncounted.delete(jobId);
    known.countedAt = now;
    known.ready = loadOf(account).then((load) => {
      // An exact count that was made meanwhile is newer.
      if (known.countedAt === now) known.load = load;
    });
    known.ready.catch(() => accounts.delete(account));
  }

  return (account) => {
    const unknown = { ready: Promise.resolve(), load: NONE, countedAt: -Infinity, uncounted: new Map() };
    const known: AccountLoad = accounts.get(account) ?? unknown;
    if (performance.now() - known.countedAt >= COUNTED_AGAIN_MS) count(account, known);
    accounts.set(account, known);
    return known;
  };
}

interface Limits extends JobLoad {
  readonly seconds: number;
  readonly repeating: number;
}

/** The loads of these accounts, in the same order. */
async function countAll(database: Database, { unfinished, started, seconds }: Limits, accounts: readonly string[]) {
  const values = [[...new Set(accounts)], unfinished, started, seconds];
  const rows = await database.query<JobLoad & { account: string }>({ name: 'job-loads-of', text: COUNT, values });
  const loads = new Map(rows.map(({ account, ...load }) => [account, load]));
  return accounts.map((account) => loads.get(account) ?? NONE);
}

/** Returns, for each job that asks, how many jobs its account would have with it. */
async function takeAll(
  database: Database,
  { unfinished, started, seconds, repeating }: Limits,
  asked: readonly Asking[],
): Promise<Placed[]> {
  const accounts = [...new Set(asked.map(({ account }) => account))];
  const others = othersOf(asked);
  const asking = asked.map((job, place) => ({ ...rowOf(job), place }));
  const given = JSON.stringify([...asking, ...others.map(rowOf)]);
  const values = [accounts, unfinished, started, seconds, given, RECORDED_WITHIN_MS, repeating];
  const placed = await database.use((client) =>
    transaction(client, async () => {
      await client.query({ name: 'lock-quotas', text: LOCK, values: [accounts] });
      return (await client.query<Placed>({ name: 'take-quotas', text: TAKE, values })).rows;
    }),
  );
  // Both change in one step, or another job would be admitted in between.
  for (const [index, { known }] of asked.entries())
    Object.assign(known, { load: placed[index], countedAt: performance.now() });
  for (const { jobId, known } of others) known.uncounted.delete(jobId);
  return placed;
}

const rowOf = ({ account, jobId, version, repeats = false }: Asking) => ({ account, jobId, version, repeats });

/** Jobs that were admitted uncounted before those that ask, each once. */
function othersOf(asked: readonly Asking[]): Asking[] {
  const ids = new Set(asked.map(({ jobId }) => jobId));
  const accounts = new Map(asked.map(({ account, known }) => [account, known]));
  return [...accounts].flatMap(([account, known]) =>
    [...known.uncounted].flatMap(([jobId, { version }]) =>
      ids.has(jobId) ? [] : [{ account, jobId, version, known }],
    ),
  );
}
