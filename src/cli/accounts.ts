import { z } from 'zod';
import { type Administration, createAdministration, type ListedAccount } from '../accounts/administration.ts';
import { accountRole } from '../accounts/accounts.ts';
import { openRows } from '../postgres/rows.ts';
import { type Output, shown } from './print.ts';
import { withResources } from './with-resources.ts';

type Work = (accounts: Administration, print: Output) => Promise<void>;

/** Runs beside a server or without one. What it changes holds within a second in every process. */
function withAccounts(work: Work): Promise<number> {
  return withResources({ as: 'command' }, async ({ connection, config, lifecycle, print }) => {
    const searchPath = [config.NAMESPACE, 'public'];
    const rows = await openRows(connection, { name: 'openmusic accounts', max: 1, searchPath });
    lifecycle.add('accounts', rows);
    await work(createAdministration(rows), print);
    return 0;
  });
}

/** A line for each: name, role, when it was made, how many sessions it has. */
export const accountsList = (): Promise<number> =>
  withAccounts(async (accounts, print) => {
    for (const each of await accounts.list()) print(lineOf(each));
  });

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
    print(`${username} has no role any more.`);
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
export const accountsSessions = (username: string): Promise<number> =>
  withAccounts(async (accounts, print) => {
    const sessions = await accounts.sessions(username);
    for (const { id, expiresAt } of sessions) print(`${id}  until ${expiresAt}`);
    if (sessions.length === 0) print(`${username} is not logged in.`);
  });

export const accountsEndSessions = (username: string): Promise<number> =>
  withAccounts(async (accounts, print) => {
    await accounts.endSessions(username);
    print(`All sessions of ${username} are ended.`);
  });
