import { randomUUID } from 'node:crypto';
import { type Client, createClient } from './client.ts';

/** A person who is registered and logged in. */
export interface Person {
  readonly id: string;
  readonly username: string;
  readonly password: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Sends requests as this person. */
  readonly client: Client;
}

/** The password of every person in tests, which occurs in no other text: no log may contain it. */
export const KNOWN_PASSWORD = 'sesame-7f3a91c2';

/** A new username. */
export const newUsername = () => `u${randomUUID().replaceAll('-', '')}`;

export async function newPerson(base: string, username = newUsername()): Promise<Person> {
  const anonymous = createClient(base);
  const password = KNOWN_PASSWORD;
  const registered = await anonymous.post('/users', { username, password, fullname: 'Some Person' });
  const id = registered.body?.data?.userId;
  if (registered.status !== 201 || id === undefined) throw new Error(`not registered: ${registered.text}`);
  return { id, username, password, ...(await logIn(anonymous, username, password)) };
}

async function logIn(anonymous: Client, username: string, password: string) {
  const { text, body } = await anonymous.post('/authentications', { username, password });
  const { accessToken, refreshToken } = body?.data ?? {};
  if (accessToken === undefined || refreshToken === undefined) throw new Error(`not logged in: ${text}`);
  return { accessToken, refreshToken, client: createClient(anonymous.base, accessToken) };
}
