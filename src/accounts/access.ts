import { reasonOf } from '../errors.ts';
import { poll } from '../concurrency/poll.ts';
import { createSingleFlight } from '../concurrency/single-flight.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Database } from '../postgres/pool.ts';
import type { Account, AccountRole, VersionedAccount } from './accounts.ts';
import { SPARE_SECONDS } from './token-age.ts';

/** The claims of an access token. */
export interface AccessClaim extends VersionedAccount {
  /** Tokens of earlier versions name no session. */
  readonly sessionId?: string | undefined;
}

/** Checks tokens against the changes of accounts and sessions since the tokens were issued. */
export interface Access {
  /** Whether the changes are recent enough to decide whether a token is still valid. */
  isCurrent(): boolean;
  /** The account with its current role; undefined when its tokens or its session were revoked. */
  judge(claim: AccessClaim): Account | undefined;
  /** Calls back after each change until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/** Access that follows the changes in Postgres. */
export interface LiveAccess extends Access, Stoppable {
  /** Reads changes at once: after a notice, or after a change by this process. */
  recheck(): Promise<void>;
}

export interface AccessOptions {
  readonly database: Pick<Database, 'query'>;
  readonly report: (message: string) => void;
  /** Maximum age of an access token, in seconds. Older tokens are refused, so changes that concern only them are dropped. */
  readonly tokenAge: number;
  readonly everyMs?: number;
  /** Without an answer from Postgres for this long, access is not current. */
  readonly staleMs?: number;
}

interface Change extends Record<string, unknown> {
  readonly id: number;
  readonly account: string;
  readonly version: number | null;
  readonly role: AccountRole | null;
  readonly session: string | null;
  /** Milliseconds until the change can be dropped. */
  readonly neededMs: number;
}

/** Changes that one query reads. The statement runs once a second in every process, so it is a prepared one of the pg pool, not of slonik. */
const PAGE = 10_000;

const CHANGES = `SELECT id, account_id AS account, version, role, session_id AS session,
    (extract(epoch FROM needed_until - now()) * 1000)::float8 AS "neededMs"
  FROM access_changes WHERE id > $1 ORDER BY id LIMIT ${PAGE}`;

/** Tokens with a version below `endedBelow` are revoked; others below `roleBelow` have `role` instead of the role they name. */
interface AccountState {
  readonly endedBelow: number;
  readonly roleBelow: number;
  readonly role: AccountRole | undefined;
  readonly forgetAt: number;
}

const UNCHANGED: AccountState = { endedBelow: 0, roleBelow: 0, role: undefined, forgetAt: 0 };

/** Reads all changes that still matter, and then new ones every second and when `recheck` is called. Rejects when the first read fails. */
export async function followAccess({ database, report, tokenAge, ...times }: AccessOptions): Promise<LiveAccess> {
  const { everyMs = 1_000, staleMs = 5_000 } = times;
  const known = createKnownChanges((tokenAge + SPARE_SECONDS) * 1_000);
  const listeners = new Set<() => void>();
  let last = 0;
  let currentAt = -Infinity;
  const singleFlight = createSingleFlight();

  async function readChanges(): Promise<void> {
    for (let more = true; more;) {
      const askedAt = performance.now();
      const changes = await database.query<Change>({ name: 'access-changes', text: CHANGES, values: [last] });
      for (const change of changes) known.add(change, askedAt);
      last = changes.at(-1)?.id ?? last;
      more = changes.length === PAGE;
      if (!more) currentAt = askedAt;
      if (changes.length > 0) for (const listener of listeners) listener();
    }
    known.forget(performance.now());
  }

  /** One read at a time. A call during a read starts another one afterwards, because the running read may miss the change. */
  const recheck = () => singleFlight('changes', readChanges);

  await recheck();
  const following = poll(recheck, {
    firstMs: everyMs,
    everyMs,
    onFailure: (error) => report(`cannot read changes of access: ${reasonOf(error)}`),
  });

  return {
    isCurrent: () => performance.now() - currentAt <= staleMs,
    judge: known.judge,
    recheck,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop: () => following.stop(),
  };
}

/** The changes in memory. Each is dropped after at most `maxMs`, when every older token has expired. */
function createKnownChanges(maxMs: number) {
  const accounts = new Map<string, AccountState>();
  /** Session ids, each with the time at which its last token has expired. */
  const endedSessions = new Map<string, number>();

  return {
    add({ account, version, role, session, neededMs }: Change, now: number): void {
      const forgetAt = now + Math.min(neededMs, maxMs);
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
