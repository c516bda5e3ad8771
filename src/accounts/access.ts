import { reasonOf } from '../errors.ts';
import { sleep } from '../concurrency/sleep.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Database } from '../postgres/pool.ts';
import type { Account, Role, VersionedAccount } from './accounts.ts';
import { SPARE_SECONDS } from './token-age.ts';

/** What an access token says. */
export interface AccessClaim extends VersionedAccount {
  /** Tokens of earlier versions name no session. */
  readonly sessionId?: string | undefined;
}

/** What this process knows of changes since tokens were made. */
export interface Access {
  /** Whether it was told of late: without that it is not known whether a token is still good. */
  isCurrent(): boolean;
  /** The account with the role that it has now; undefined when its tokens or its session were ended. */
  judge(claim: AccessClaim): Account | undefined;
  /** Calls back after each change until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/** Access that is kept up to date. */
export interface LiveAccess extends Access, Stoppable {
  /** Asks at once: there was a notice, or this process has changed something itself. */
  recheck(): Promise<void>;
}

export interface AccessOptions {
  readonly database: Pick<Database, 'query'>;
  readonly report: (message: string) => void;
  /** Of an access token, in seconds: this process takes none that is older, and forgets what only those were about. */
  readonly tokenAge: number;
  readonly everyMs?: number;
  /** Without an answer for so long it is not current. */
  readonly staleMs?: number;
}

interface Change extends Record<string, unknown> {
  readonly id: number;
  readonly account: string;
  readonly version: number | null;
  readonly role: Role | null;
  readonly session: string | null;
  /** Milliseconds from now. */
  readonly neededMs: number;
}

/** Changes in one answer. */
const PAGE = 10_000;

const CHANGES = `SELECT id, account_id AS account, version, role, session_id AS session,
    (extract(epoch FROM needed_until - now()) * 1000)::float8 AS "neededMs"
  FROM access_changes WHERE id > $1 ORDER BY id LIMIT ${PAGE}`;

/** Of an account's tokens: those below one version are over, others below another one have a role that they do not say. */
interface AccountState {
  readonly endedBelow: number;
  readonly roleBelow: number;
  readonly role: Role | undefined;
  readonly forgetAt: number;
}

const UNCHANGED: AccountState = { endedBelow: 0, roleBelow: 0, role: undefined, forgetAt: 0 };

/** Reads all that is still of use, and follows what comes: every second, and when `recheck` is called. Rejects where it cannot read. */
export async function followAccess({ database, report, tokenAge, ...times }: AccessOptions): Promise<LiveAccess> {
  const { everyMs = 1_000, staleMs = 5_000 } = times;
  const known = createKnownChanges((tokenAge + SPARE_SECONDS) * 1_000);
  const stopping = new AbortController();
  const listeners = new Set<() => void>();
  let last = 0;
  let currentAt = -Infinity;
  let asking: Promise<void> | undefined;
  let isWanted = false;

  async function ask(): Promise<void> {
    for (let more = true; more;) {
      const asked = performance.now();
      const changes = await database.query<Change>({ name: 'access-changes', text: CHANGES, values: [last] });
      for (const change of changes) known.add(change, asked);
      last = changes.at(-1)?.id ?? last;
      more = changes.length === PAGE;
      if (!more) currentAt = asked;
      if (changes.length > 0) for (const listener of listeners) listener();
    }
    known.forget(performance.now());
  }

  /** One question at a time. One that comes meanwhile is asked afterwards: the answer under way may be older than its reason. */
  function recheck(): Promise<void> {
    isWanted = true;
    asking ??= (async () => {
      while (isWanted) {
        isWanted = false;
        await ask();
      }
    })().finally(() => (asking = undefined));
    return asking;
  }

  await recheck();
  const following = (async () => {
    while (!stopping.signal.aborted) {
      await sleep(everyMs, stopping.signal);
      await recheck().catch((error: unknown) => report(`cannot ask who may still do what: ${reasonOf(error)}`));
    }
  })();

  return {
    isCurrent: () => performance.now() - currentAt <= staleMs,
    judge: known.judge,
    recheck,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async stop() {
      stopping.abort();
      await following;
    },
  };
}

/** After so many milliseconds this process takes no token that is older than a change. */
function createKnownChanges(mostMs: number) {
  const accounts = new Map<string, AccountState>();
  /** With the time after which no token of them is left. */
  const endedSessions = new Map<string, number>();

  return {
    add({ account, version, role, session, neededMs }: Change, now: number): void {
      const forgetAt = now + Math.min(neededMs, mostMs);
      if (session !== null) endedSessions.set(session, forgetAt);
      if (version === null) return;
      const before = accounts.get(account) ?? UNCHANGED;
      const change = role === null ? { endedBelow: version } : { roleBelow: version, role };
      accounts.set(account, { ...before, ...change, forgetAt });
    },

    forget(now: number): void {
      for (const [account, { forgetAt }] of accounts) if (forgetAt < now) accounts.delete(account);
      for (const [session, forgetAt] of endedSessions) if (forgetAt < now) endedSessions.delete(session);
    },

    judge({ id, role, version, sessionId }: AccessClaim): Account | undefined {
      if (sessionId !== undefined && endedSessions.has(sessionId)) return undefined;
      const state = accounts.get(id) ?? UNCHANGED;
      if (version < state.endedBelow) return undefined;
      return { id, role: version < state.roleBelow ? (state.role ?? role) : role };
    },
  };
}
