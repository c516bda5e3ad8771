import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { CommandOrigin, CommandOutcome, CommandRequest } from '../../src/commands/command.ts';
import { idFromCommand } from '../../src/events/ids.ts';
import { createPlacement } from '../../src/events/placement.ts';
import type { Rates } from '../../src/http/rate-limits.ts';
import { buildApp, type AppDependencies } from '../../src/http/app.ts';
import { createHealth } from '../../src/http/health.ts';
import type { JobSubmission } from '../../src/jobs/accept.ts';
import { KEYS } from './keys.ts';
import type { Database } from '../../src/postgres/pool.ts';

const TOKENS = {
  access: { key: KEYS.ACCESS_TOKEN_KEY, age: 60 },
  refresh: { key: KEYS.REFRESH_TOKEN_KEY, age: 600 },
};

const noAccounts: AppDependencies['accounts'] = {
  register: () => Promise.resolve({ id: 'user-1', replayed: false }),
  authenticate: () => Promise.resolve(undefined),
  exists: () => Promise.resolve(false),
};
const none: AppDependencies['sessions'] = {
  open: () => Promise.resolve(),
  find: () => Promise.resolve(undefined),
  close: () => Promise.resolve(false),
};
/** No change since tokens were issued. */
const unchanged: AppDependencies['access'] = {
  isCurrent: () => true,
  judge: ({ id, role }) => ({ id, role }),
  onChange: () => () => undefined,
  recheck: () => Promise.resolve(),
};
const noFiles: AppDependencies['files'] = { put: () => Promise.resolve(), open: () => Promise.resolve(undefined) };

/** Accepts jobs that no other category accepts, unless their request forbids it. */
const accept: AppDependencies['jobs']['accept'] = async ({ check, take }, { commandId }) => {
  await check?.();
  await take?.();
  return { jobId: idFromCommand('job', commandId), recordId: 'r', version: 1, replayed: false };
};

type Sent = CommandRequest<{ type: string; details?: object }, { albumExists: boolean } | undefined>;

/** What was requested, and how. */
type SubmittedJob = JobSubmission & { readonly origin: CommandOrigin; readonly isAdmin: boolean };

export interface Substitutes extends Partial<Omit<AppDependencies, 'jobs'>> {
  jobs?: Partial<AppDependencies['jobs']>;
  /** The command handler's result for a command. */
  outcome?: (request: Sent) => Promise<CommandOutcome> | CommandOutcome;
  /** Rows by the name of the query. */
  rows?: Record<string, object[]>;
  /** The result of each step through all songs. */
  chunks?: () => AsyncGenerator<object[], void>;
}

/** No limit applies. */
export const noRates: Rates = {
  login: undefined,
  failures: undefined,
  register: undefined,
  jobs: undefined,
  covers: undefined,
  default: undefined,
};

/** The app over substitutes for the write side and the read models: for rules that belong to HTTP alone. */
export function httpApp({ outcome, rows = {}, chunks, jobs, ...overrides }: Substitutes = {}) {
  const sent: Sent[] = [];
  const submissions: SubmittedJob[] = [];
  const lines: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const perform = async (request: unknown) => {
    sent.push(request as Sent);
    return (await outcome?.(request as Sent)) ?? { recordId: 'r', version: 1, replayed: false };
  };
  const app = buildApp({
    commands: { album: perform, song: perform, playlist: perform, like: perform, job: perform },
    database: databaseOf(rows, chunks),
    placement: createPlacement('music', 6),
    answers: { read: async (_wanted, load) => ({ answer: await load(), source: 'database' }) },
    jobs: {
      accept: (submission, origin, isAdmin) => {
        submissions.push({ ...submission, origin, isAdmin });
        return accept(submission, origin, isAdmin);
      },
      tables: databaseOf(rows, chunks),
      commits: { subscribe: () => () => undefined },
      links: { keys: { current: KEYS.LINK_KEY }, age: 900 },
      mail: { enabled: ['smtp', 'file'], default: 'file' },
      filesProvider: 'disk',
      repeats: { seconds: 900 },
      mustHaveRoom: () => Promise.resolve(),
      batch: { items: 5, bytes: 200_000 },
      ...jobs,
    },
    publicUrl: 'http://music.test',
    namespace: 'openmusic',
    health: createHealth({ probes: {}, logger }),
    idempotencyKeys: { current: 'k'.repeat(32) },
    logger,
    metricsRegistry: new Registry(),
    catalogWrites: 'open',
    stored: { claim: () => Promise.resolve(), forget: () => Promise.resolve() },
    accounts: noAccounts,
    sessions: none,
    access: unchanged,
    files: noFiles,
    playlistDuplicates: 'refuse',
    now: Date.now,
    tokens: TOKENS,
    rates: noRates,
    limits: { bodyBytes: 65_536, bodyDepth: 20, bodyFields: 1_000 },
    production: false,
    ...overrides,
  });
  return { app, sent, submissions, lines };
}

function databaseOf(rows: Record<string, object[]>, chunks: Substitutes['chunks'] = () => chunksOf()): Database {
  const step = stepsOf(chunks);
  const query = ({ name = '', values = [] }: { name?: string; values?: unknown[] }) =>
    name.startsWith('walk-songs') ? step(String(values[0])) : Promise.resolve(rows[name] ?? []);
  return { query } as unknown as Database;
}

/** Steps through all songs: each chunk, and where it ends. A start at another place than the last end begins again. */
function stepsOf(chunks: () => AsyncGenerator<object[], void>) {
  let [walk, at, isOver] = [chunks(), '', false];
  return async (after: string): Promise<object[]> => {
    if (after !== at || isOver) walk = chunks();
    const { value, done } = await walk.next();
    const rows = value ?? [];
    isOver = done === true;
    at = (rows.at(-1) as { id: string } | undefined)?.id ?? after;
    return [...rows, { id: at, title: null, performer: null, count: done ? 0 : Infinity }];
  };
}

/** A search that finds these chunks, and fails in place of an error. */
export async function* chunksOf(...chunks: (object[] | Error)[]): AsyncGenerator<object[], void> {
  for (const chunk of chunks) {
    await Promise.resolve();
    if (chunk instanceof Error) throw chunk;
    yield chunk;
  }
}

/** The shape of API answers, as far as tests read it. */
export interface AnswerBody {
  status: string;
  message: string;
  code: string;
  requestId: string;
  errors: { path: string; message: string }[];
  data: { albumId: string; songId: string; songs: { id: string }[]; nextCursor: string };
}
