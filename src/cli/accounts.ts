import { createAccounts } from '../accounts/accounts.ts';
import { createPasswords } from '../accounts/passwords.ts';
import { openRows } from '../postgres/rows.ts';
import { withResources } from './with-resources.ts';

/** Makes somebody an admin. Tokens they have already say otherwise until they expire. */
export function accountsGrantAdmin(username: string): Promise<number> {
  return withResources({ as: 'command' }, async ({ connection, config, lifecycle, print }) => {
    const searchPath = [config.NAMESPACE, 'public'];
    const rows = await openRows(connection, { name: 'openmusic accounts', max: 1, searchPath });
    lifecycle.add('accounts', rows);
    await createAccounts(rows, createPasswords()).grant(username, 'admin');
    print(`${username} is an admin, as soon as they log in again.`);
    return 0;
  });
}
