import { z } from 'zod';
import { type Administration, createAdministration, type ListedAccount } from '../accounts/administration.ts';
import { accountRole } from '../accounts/accounts.ts';
import { openRows } from '../postgres/rows.ts';
import { type ListOptions, type Output, printList, shown } from './print.ts';
import { withResources } from './with-resources.ts';

/** Runs beside a server or without one. Changes take effect within a second in every process. */
function withAccounts(work: (accounts: Administration, print: Output) => Promise<void>): Promise<number> {
  return withResources({ as: 'command' }, async ({ connection, config, lifecycle, print }) => {
    const searchPath = [config.NAMESPACE, 'public'];
    const rows = await openRows(connection, { name: 'openmusic accounts', max: 1, searchPath });
    lifecycle.add('accounts', rows);
    await work(createAdministration(rows), print);
    return 0;
  });
}

/** A line for each: name, role, when it was made, how many sessions it has. */
export const accountsList = (options: ListOptions): Promise<number> =>
  withAccounts(async (accounts) => printList(await accounts.list(), options, { line: lineOf }));

const lineOf = ({ username, role, createdAt, sessions, locked }: ListedAccount): string =>
  `${shown(username)}  ${role}  since ${createdAt}  ${sessions} sessions${locked ? '  locked' : ''}`;

const grantable = z.enum(accountRole.exclude(['user']).options, { error: 'The role must be admin or analytics.' });

export async function accountsGrant(username: string, wanted: string): Promise<number> {
  const found = grantable.safeParse(wanted);
  if (!found.success) throw new Error(found.error.issues[0]?.message);
  const granted = found.data;
  return withAccounts(async (accounts, print) => {
    await accounts.grant(username, granted);
    print(`${username} has the role ${granted} now.`);
  });
}

export const accountsRevoke = (username: string): Promise<number> =>
  withAccounts(async (accounts, print) => {
    await accounts.grant(username, 'user');
    print(`${username} no longer has a role.`);
  });

export const accountsLock = (username: string): Promise<number> =>
  withAccounts(async (accounts, print) => {
    await accounts.lock(username);
    print(`${username} is locked, and all sessions are ended.`);
  });

export const accountsUnlock = (username: string): Promise<number> =>
  withAccounts(async (accounts, print) => {
    await accounts.unlock(username);
    print(`${username} may log in again.`);
  });

/** A line for each: the beginning of the hash of its refresh token, and when it expires. */
export const accountsSessions = (username: string, options: ListOptions): Promise<number> =>
  withAccounts(async (accounts) =>
    printList(await accounts.sessions(username), options, {
      line: ({ id, expiresAt }) => `${id}  until ${expiresAt}`,
      none: `${username} is not logged in.`,
    }),
  );

export const accountsEndSessions = (username: string): Promise<number> =>
  withAccounts(async (accounts, print) => {
    await accounts.endSessions(username);
    print(`All sessions of ${username} are ended.`);
  });
