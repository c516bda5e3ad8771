import { z } from 'zod';
import { loadConfig } from '../config.ts';
import { type Api, openAdminApi } from './admin-api.ts';
import { type ListOptions, print, printError, printList, shown } from './print.ts';

export interface DeadLetterOptions {
  /** Base of the API; the public one unless it is given. */
  readonly url?: string;
}

const attempt = z.looseObject({
  startedAt: z.string(),
  error: z.looseObject({ code: z.string(), message: z.string() }).optional(),
});
/** What `list` prints; the rest stays for `--json`. */
const job = z.looseObject({
  id: z.string(),
  type: z.string(),
  finishedAt: z.string(),
  attempts: z.array(attempt),
});
const listed = z.object({ deadLetters: z.array(job), nextCursor: z.string().nullable() });
const outcomes = z.object({
  outcomes: z.array(z.object({ jobId: z.string(), redriven: z.boolean(), message: z.string().optional() })),
});

type DeadLetter = z.output<typeof job>;

export const deadLettersList = ({ json, ...options }: DeadLetterOptions & ListOptions): Promise<number> =>
  withAdminApi(options, async (api) => {
    const line = (letter: DeadLetter) => shown(lineOf(letter));
    printList(await allDeadLetters(api), { json }, { line, none: 'There are no dead letters.' });
    return 0;
  });

async function allDeadLetters({ call }: Api): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  for (let next: string | null = ''; next !== null;) {
    const address = `/admin/dead-letters${next && `?cursor=${next}`}`;
    const page: z.output<typeof listed> = await call('GET', address, listed);
    found.push(...page.deadLetters);
    next = page.nextCursor;
  }
  return found;
}

function lineOf({ id, type, finishedAt, attempts }: DeadLetter): string {
  const error = attempts.at(-1)?.error;
  return `${id} ${type} since ${finishedAt}, ${attempts.length} attempts: ${error ? `${error.code} ${error.message}` : ''}`;
}

export const deadLettersShow = (jobId: string, options: DeadLetterOptions): Promise<number> =>
  withAdminApi(options, async ({ call }) => {
    const data = z.object({ deadLetter: z.record(z.string(), z.unknown()) });
    const { deadLetter } = await call('GET', addressOf(jobId), data);
    print(JSON.stringify(deadLetter, null, 2));
    return 0;
  });

/** Runs the jobs again. Exit code 2 when some of them cannot be run again. */
export const deadLettersRedrive = (
  jobIds: readonly string[],
  { payload, ...options }: DeadLetterOptions & { readonly payload?: string },
): Promise<number> =>
  withAdminApi(options, async (api) => {
    if (payload !== undefined) return redriveCorrected(api, jobIds, payload);
    const { outcomes: all } = await api.call('POST', '/admin/dead-letters/redrive', outcomes, { jobIds });
    for (const { jobId, redriven, message = '' } of all)
      print(redriven ? `${jobId} runs again.` : `${jobId}: ${shown(message)}`);
    return all.every(({ redriven }) => redriven) ? 0 : 2;
  });

async function redriveCorrected({ call }: Api, [jobId = '', ...others]: readonly string[], payload: string) {
  if (others.length > 0) throw new Error('A payload can be corrected for one job at a time.');
  const data = z.object({ jobId: z.string() });
  const made = await call('POST', `${addressOf(jobId)}/redrive`, data, { payload: JSON.parse(payload) as unknown });
  print(`${made.jobId} takes the place of ${jobId}.`);
  return 0;
}

export const deadLettersDrop = (jobIds: readonly string[], options: DeadLetterOptions): Promise<number> =>
  withAdminApi(options, async ({ call }) => {
    for (const jobId of jobIds) {
      await call('DELETE', addressOf(jobId), z.unknown());
      print(`${jobId} is dropped.`);
    }
    return 0;
  });

const addressOf = (jobId: string) => `/admin/dead-letters/${encodeURIComponent(jobId)}`;

async function withAdminApi({ url }: DeadLetterOptions, work: (api: Api) => Promise<number>): Promise<number> {
  try {
    return await work(await openAdminApi(loadConfig(), url));
  } catch (error) {
    printError(error);
    return 1;
  }
}
