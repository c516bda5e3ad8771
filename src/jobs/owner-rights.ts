import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { Database } from '../postgres/pool.ts';
import { batch } from '../concurrency/batch.ts';
import type { JobType } from './job-type.ts';

/** What the owner of a job may do now. Its rights at the time of the request do not count when the job runs. */
export interface Rights {
  readonly isAdmin: boolean;
  readonly isLocked: boolean;
}

/** An unknown account has the rights of an ordinary user. */
export type RightsOf = (account: string) => Promise<Rights>;

const RIGHTS = `SELECT id, role = 'admin' AND NOT locked AS "isAdmin", locked AS "isLocked" FROM accounts WHERE id = ANY($1)`;
const rightsRows = z.array(z.object({ id: z.string(), isAdmin: z.boolean(), isLocked: z.boolean() }));
const NONE: Rights = { isAdmin: false, isLocked: false };

/** Reads rights from the namespace's own tables, in one query for all that are asked for at the same time. */
export function createRights(tables: Pick<Database, 'query'>): RightsOf {
  return batch(async (accounts: readonly string[]) => {
    const query = { name: 'rights-of', text: RIGHTS, values: [[...new Set(accounts)]] };
    const rows = rightsRows.parse(await tables.query(query));
    const found = new Map(rows.map(({ id, isAdmin, isLocked }) => [id, { isAdmin, isLocked }]));
    return accounts.map((account) => found.get(account) ?? NONE);
  });
}

/** Why a job of this type must not run for an owner with these rights; undefined when it may. */
export function refusalOf(type: Pick<JobType, 'access'> | undefined, { isAdmin, isLocked }: Rights) {
  if (isLocked)
    return {
      code: 'OWNER_LOCKED',
      message: 'The account of the owner is locked. Unlock the account, then retry the job.',
    };
  if (type?.access !== 'admins' || isAdmin) return undefined;
  const message =
    'Only admins may start such a job, and its owner is no longer an admin. Ask for it anew as an admin, or give the role back.';
  return { code: 'OWNER_NO_ADMIN', message };
}

/** Throws 403 when a job of this type must not run for an owner with these rights. */
export function mustBeDoable(type: Pick<JobType, 'access'> | undefined, rights: Rights): void {
  const refusal = refusalOf(type, rights);
  if (refusal) throw new AppError('forbidden', refusal.code, refusal.message);
}
