/** The album that every figure creates. */
const details = { name: 'Viva la Vida', year: 2008 };

/** As a load sends it. */
export const CREATE_ALBUM = { method: 'POST', paths: ['/albums'], body: JSON.stringify(details) } as const;

/** Creates one; the answer is as it comes. */
export const createAlbum = (url: string): Promise<Answer> => post(url, '/albums', details);

/** What a server of ours answered. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

export async function post(url: string, path: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  return answerOf(await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

export const get = async (url: string, path: string): Promise<Answer> => answerOf(await fetch(url + path));

const answerOf = async (response: Response): Promise<Answer> => ({
  status: response.status,
  text: await response.text(),
});

/** The id of what a request created. */
export function createdId({ status, text }: Answer): string {
  if (status !== 201) throw new Error(`not created: ${status} ${text}`);
  const [id] = Object.values((JSON.parse(text) as { data: Record<string, string> }).data);
  if (id === undefined) throw new Error(`created, without an id: ${text}`);
  return id;
}
