import { newId } from '../src/events/ids.ts';
import { KEYS } from '../test/support/keys.ts';
import { forge, now } from '../test/support/tokens.ts';

/** Ids of accounts that are not registered: registering takes longer than a figure, and their requests do not need it. */
export const accounts = (count: number): string[] => Array.from({ length: count }, () => `user-${newId()}`);

/** An access token of that account, valid for a day. */
export function tokenOf(account: string): string {
  const [jti, iat] = [newId(), now()];
  const claims = { sub: account, role: 'user', jti, aud: 'access', iat, exp: iat + 86_400 };
  return forge(claims, KEYS.ACCESS_TOKEN_KEY);
}
