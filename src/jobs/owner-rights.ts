import { AppError } from '../errors.ts';
import type { Database } from '../postgres/pool.ts';
import { batch } from '../concurrency/batch.ts';
import type { JobType } from './job-type.ts';

/** What the owner of a job may do now: what it could when it asked does not count when the job runs. */
export interface Rights {
  readonly isAdmin: boolean;
  readonly isLocked: boolean;
}

/** Of an account that there is not: of an ordinary user. */
export type RightsOf = (account: string) => Promise<Rights>;

const RIGHTS = `SELECT id, role = 'admin' AND NOT locked AS "isAdmin", locked AS "isLocked" FROM accounts WHERE id = ANY($1)`;
const NONE: Rights = { isAdmin: false, isLocked: false };

/** Many that ask at the same time ask once. `tables`: the namespace's own. */
export function createRights(tables: Pick<Database, 'query'>): RightsOf {
  return batch(async (accounts: readonly string[]) => {
    type Row = Rights & { readonly id: string };
    const rows = await tables.query<Row & Record<string, unknown>>({
      name: 'rights-of',
      text: RIGHTS,
      values: [[...new Set(accounts)]],
    });
    const found = new Map(rows.map(({ id, isAdmin, isLocked }) => [id, { isAdmin, isLocked }]));
    return accounts.map((account) => found.get(account) ?? NONE);
  });
}

/** Why nothing of that type is done for an owner with those rights; undefined when it is. */
export function refusalOf(type: Pick<JobType, 'access'> | undefined, { isAdmin, isLocked }: Rights) {
  if (isLocked)
    return { code: 'OWNER_LOCKED', message: 'Its owner is locked. Unlock the account, then have the job done again.' };
  if (type?.access !== 'admins' || isAdmin) return undefined;
  const message =
    'Only admins may have this done, and its owner is none any more. Ask for it anew as an admin, or give the role back.';
  return { code: 'OWNER_NO_ADMIN', message };
}

/** Throws 403 where nothing of that type is done for an owner with those rights. */
export function mustBeDoable(type: Pick<JobType, 'access'> | undefined, rights: Rights): void {
  const refusal = refusalOf(type, rights);
  if (refusal) throw new AppError('forbidden', refusal.code, refusal.message);
}
