import type { JobView } from '../../src/projections/jobs.ts';
import type { Client } from './client.ts';
import { eventually } from './observed.ts';

interface AnswerData {
  readonly jobId: string;
  readonly job: JobView;
  readonly jobs: JobView[];
  readonly nextCursor: string | null;
  readonly items: readonly JobItem[];
  readonly providers: readonly { readonly name: string; readonly breaker: { readonly state: string } }[];
}

interface JobItem {
  readonly item: number;
  readonly state: 'waiting' | 'done' | 'failed';
  readonly attempts: number;
  readonly error?: string;
}

const dataOf = (text: string) => (JSON.parse(text) as { data: AnswerData }).data;

/** Starts a job, with a key where the request may be repeated, or throws the answer that rejected it. */
export async function begin(client: Client, path: string, body: object, key?: string): Promise<string> {
  const { status, text } = await client.post(path, body, key === undefined ? {} : { 'idempotency-key': key });
  if (status !== 201 && status !== 202) throw new Error(`not accepted: ${status} ${text}`);
  return dataOf(text).jobId;
}

const CONCURRENCY = 25;

/** Starts as many jobs, several at once. */
export async function beginAll(client: Client, path: string, bodies: readonly object[]): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < bodies.length; index += CONCURRENCY) {
    ids.push(...(await Promise.all(bodies.slice(index, index + CONCURRENCY).map((body) => begin(client, path, body)))));
  }
  return ids;
}

export async function jobOf(client: Client, id: string): Promise<JobView> {
  const { status, text } = await client.get(`/jobs/${id}`);
  if (status !== 200) throw new Error(`${id}: ${status} ${text}`);
  return dataOf(text).job;
}

export const jobsOf = (client: Client, ids: readonly string[]): Promise<JobView[]> =>
  Promise.all(ids.map((id) => jobOf(client, id)));

export const isOver = ({ state }: JobView) => state === 'succeeded' || state === 'dead' || state === 'cancelled';

/** The jobs, once all of them have ended. */
export async function untilOver(client: Client, ids: readonly string[], ms = 30_000): Promise<JobView[]> {
  let jobs: JobView[] = [];
  const allOver = async () => (jobs = await jobsOf(client, ids)).every(isOver);
  try {
    await eventually('the jobs have ended', allOver, ms);
  } catch (error) {
    throw new Error(`${String(error)}: ${JSON.stringify(jobs.filter((job) => !isOver(job)))}`, { cause: error });
  }
  return jobs;
}

/** Waits until a job meets the condition. */
export const untilJob = (client: Client, id: string, what: string, is: (job: JobView) => boolean, ms?: number) =>
  eventually(`${id} ${what}`, async () => is(await jobOf(client, id)), ms);

/** Every page of the user's jobs, of one type or all, newest first. */
export async function allJobs(client: Client, type?: string): Promise<JobView[]> {
  const all: JobView[] = [];
  const ofType = type === undefined ? '' : `&type=${type}`;
  for (let cursor: string | null = ''; cursor !== null;) {
    const { text } = await client.get(`/jobs?limit=100${ofType}${cursor && `&cursor=${cursor}`}`);
    const { jobs, nextCursor } = dataOf(text);
    all.push(...jobs);
    cursor = nextCursor;
  }
  return all;
}

export const unfinishedJobs = async (client: Client): Promise<JobView[]> =>
  (await allJobs(client)).filter((job) => !isOver(job));

export async function itemsOf(client: Client, id: string): Promise<readonly JobItem[]> {
  const { text } = await client.get(`/jobs/${id}/items?limit=100`);
  return dataOf(text).items;
}

/** The breaker of the provider with that name. */
export async function breakerOf(client: Client, provider: string): Promise<string | undefined> {
  const { text } = await client.get('/admin/providers');
  return dataOf(text).providers.find(({ name }) => name === provider)?.breaker.state;
}

export const codesOf = ({ attempts }: JobView) => attempts.map(({ error }) => error?.code);

/** A mail to each address. */
export const mailsTo = (addresses: readonly string[]) =>
  addresses.map((to) => ({ to, subject: 'Parachutes', body: 'It is out.' }));

/** A playlist of the caller with one song. */
export async function newPlaylist(client: Client): Promise<string> {
  const song = { title: 'Yellow', year: 2000, performer: 'Coldplay', genre: 'Rock', duration: 269 };
  const songId = (await client.post('/songs', song)).body?.data?.songId;
  const playlistId = (await client.post('/playlists', { name: 'Evening' })).body?.data?.playlistId ?? '';
  const { status, text } = await client.post(`/playlists/${playlistId}/songs`, { songId });
  if (status !== 201) throw new Error(`no playlist: ${status} ${text}`);
  return playlistId;
}
