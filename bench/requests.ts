import { randomUUID } from 'node:crypto';

/** The album that every figure creates. */
export const ALBUM = { name: 'Viva la Vida', year: 2008 } as const;

/** As a load sends it. */
export const CREATE_ALBUM = { method: 'POST', paths: ['/albums'], body: JSON.stringify(ALBUM) } as const;

/** Creates one; the answer is as it comes. */
export const createAlbum = (url: string): Promise<Answer> => post(url, '/albums', ALBUM);

/** What a server of ours answered. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

export async function post(url: string, path: string, body: object, token?: string): Promise<Answer> {
  const headers = { 'content-type': 'application/json', ...bearer(token) };
  return answerOf(await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

export const get = async (url: string, path: string, token?: string): Promise<Answer> =>
  answerOf(await fetch(url + path, { headers: bearer(token) }));

const bearer = (token?: string): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

/** The access token of somebody new. */
export async function register(url: string): Promise<string> {
  const [username, password] = [`bench${randomUUID().replaceAll('-', '')}`, 'secret'];
  createdId(await post(url, '/users', { username, password, fullname: 'Somebody' }));
  return createdId(await post(url, '/authentications', { username, password }));
}

const answerOf = async (response: Response): Promise<Answer> => ({
  status: response.status,
  text: await response.text(),
});

/** The id of what a request created, or the first of whatever else it was given. */
export function createdId({ status, text }: Answer): string {
  if (status !== 201) throw new Error(`not created: ${status} ${text}`);
  const [id] = Object.values((JSON.parse(text) as { data: Record<string, string> }).data);
  if (id === undefined) throw new Error(`created, without an id: ${text}`);
  return id;
}
