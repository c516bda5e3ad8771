import { z } from 'zod';
import type { JobSubmission } from '../../../jobs/accept.ts';
import { faultOf } from '../../../jobs/cron.ts';
import type { JobType } from '../../../jobs/job-type.ts';
import { jobTypeOf, jobTypes } from '../../../jobs/job-types.ts';
import { IMPORT_RULES } from '../../../jobs/types/import-catalog.ts';
import { handling, payloadField, timing } from './job-schemas.ts';
import { storable } from '../../../text.ts';
import { invalidInput, pointer, validAt } from '../../validation.ts';

const PAYLOADS =
  'Of `report`: `format`, which is `json` or `csv`. Where a spreadsheet would take a part of a cell for a formula, an apostrophe ' +
  `stands before it. Of \`import-catalog\`: \`format\`, which is \`csv\` or \`ndjson\`, and \`data\`. ${IMPORT_RULES}`;

export const jobBody = z
  .strictObject({
    type: storable(100).meta({
      description: `One of ${jobTypes.map(({ name }) => name).join(', ')}; \`dummy\` only where DUMMY_JOBS is on.`,
      examples: ['dummy'],
    }),
    payload: payloadField.optional().meta({ description: `As the type wants it. ${PAYLOADS}` }),
    ...timing,
    ...handling,
  })
  .meta({ id: 'JobRequest' });

const TEN_YEARS = 10;

type Timing = Pick<z.output<typeof jobBody>, 'deliverAt' | 'repeat'>;

/** A wish as a body says it, whose payload stands at `path` of it. Throws 400. */
export function wishOf(
  { type: name, payload = {}, attempts, backoff, priority, ...when }: z.output<typeof jobBody>,
  mostItems: number,
  path: string[] = [],
): JobSubmission {
  const type = jobTypeOf(name);
  if (!type) throw invalidInput([{ path: '/type', message: 'is not a type of job' }]);
  const how = { handling: { attempts, backoff, priority }, ...whenOf(when) };
  return { type, payload: payloadOf(type, payload, mostItems, path), ...how };
}

/** The payload as its type has it. Throws 400 that names fields below `path`. */
export function payloadOf(type: JobType, payload: unknown, mostItems: number, path: string[]): unknown {
  mustNotBeLonger(payload, mostItems, path);
  return validAt(type.payload, payload, path);
}

/** Looked at first: whatever else is wrong with too many items, nobody wants to hear it. */
function mustNotBeLonger(payload: unknown, mostItems: number, path: string[]): void {
  const items = typeof payload === 'object' && payload && 'items' in payload ? payload.items : undefined;
  if (!Array.isArray(items) || items.length <= mostItems) return;
  throw invalidInput([{ path: pointer([...path, 'items']), message: `must have at most ${mostItems} items` }]);
}

/** When it is to be done. Throws 400 for a time that will never come, whenever it is asked for. */
export function whenOf(
  { deliverAt, repeat }: Timing,
  now = Date.now(),
): Pick<JobSubmission, 'runAt' | 'repeat' | 'check'> {
  if (repeat) {
    if (deliverAt !== undefined) throw wrongTime('cannot be together with repeat');
    return { repeat: mustRecur(repeat, now) };
  }
  if (deliverAt === undefined) return {};
  const runAt = new Date(deliverAt);
  if (runAt > inTenYears(now)) throw wrongTime('must be at most ten years ahead');
  return { runAt, check: () => mustBeAhead(runAt) };
}

/** Only of what was not asked for before: a repeated command is answered as it was, though its time has come meanwhile. */
function mustBeAhead(runAt: Date): void {
  if (runAt.getTime() < Date.now()) throw wrongTime('must not be past');
}

const wrongTime = (message: string) => invalidInput([{ path: '/deliverAt', message }]);

function inTenYears(now: number): Date {
  const date = new Date(now);
  date.setUTCFullYear(date.getUTCFullYear() + TEN_YEARS);
  return date;
}

/** The same repeat. Throws 400 for one that never comes. */
export function mustRecur<Repeat extends { readonly cron: string; readonly timeZone: string }>(
  repeat: Repeat,
  now = Date.now(),
): Repeat {
  const fault = faultOf(repeat.cron, repeat.timeZone, new Date(now));
  if (!fault) return repeat;
  const message =
    fault === 'cron' ? 'must be a cron expression that names a time to come' : 'must be an IANA time zone';
  throw invalidInput([{ path: `/repeat/${fault}`, message }]);
}
