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
  'Of `report`: `format`, which is `json` or `csv`. Where a spreadsheet would read a cell as a formula, an apostrophe ' +
  `is put before it. Of \`import-catalog\`: \`format\`, which is \`csv\` or \`ndjson\`, and \`data\`. ${IMPORT_RULES}`;

export const jobBody = z
  .strictObject({
    type: storable(100).meta({
      description: `One of ${jobTypes.map(({ name }) => name).join(', ')}; \`dummy\` only where DUMMY_JOBS is on.`,
      examples: ['dummy'],
    }),
    payload: payloadField.optional().meta({ description: `In the form of the type. ${PAYLOADS}` }),
    ...timing,
    ...handling,
  })
  .meta({ id: 'JobRequest' });

const TEN_YEARS = 10;

type Timing = Pick<z.output<typeof jobBody>, 'deliverAt' | 'repeat'>;

/** The requested job of a body. `path` is where its payload is in the body. Throws 400. */
export function jobRequestOf(
  { type: name, payload = {}, attempts, backoff, priority, ...when }: z.output<typeof jobBody>,
  maxItems: number,
  path: string[] = [],
): JobSubmission {
  const type = jobTypeOf(name);
  if (!type) throw invalidInput([{ path: '/type', message: 'is not a job type' }]);
  const how = { handling: { attempts, backoff, priority }, ...whenOf(when) };
  return { type, payload: payloadOf(type, payload, maxItems, path), ...how };
}

/** The payload, validated by its type. Throws 400 that names fields below `path`. */
export function payloadOf(type: JobType, payload: unknown, maxItems: number, path: string[]): unknown {
  mustNotHaveMoreItems(payload, maxItems, path);
  return validAt(type.payload, payload, path);
}

/** Runs before the validation, so that a list with too many items gets one error instead of an error for each. */
function mustNotHaveMoreItems(payload: unknown, maxItems: number, path: string[]): void {
  const items = typeof payload === 'object' && payload && 'items' in payload ? payload.items : undefined;
  if (!Array.isArray(items) || items.length <= maxItems) return;
  throw invalidInput([{ path: pointer([...path, 'items']), message: `must have at most ${maxItems} items` }]);
}

/** When the job is to run. Throws 400 for a time that is never valid. */
export function whenOf(
  { deliverAt, repeat }: Timing,
  now = Date.now(),
): Pick<JobSubmission, 'runAt' | 'repeat' | 'check'> {
  if (repeat) {
    if (deliverAt !== undefined) throw wrongTime('cannot be combined with repeat');
    return { repeat: mustRecur(repeat, now) };
  }
  if (deliverAt === undefined) return {};
  const runAt = new Date(deliverAt);
  if (runAt > inTenYears(now)) throw wrongTime('must be at most ten years ahead');
  return { runAt, check: () => mustBeAhead(runAt) };
}

/** Checked for new commands only: a repeated command gets its first answer, even when the time has passed since. */
function mustBeAhead(runAt: Date): void {
  if (runAt.getTime() < Date.now()) throw wrongTime('must not be in the past');
}

const wrongTime = (message: string) => invalidInput([{ path: '/deliverAt', message }]);

function inTenYears(now: number): Date {
  const date = new Date(now);
  date.setUTCFullYear(date.getUTCFullYear() + TEN_YEARS);
  return date;
}

/** Returns the repeat. Throws 400 when it never occurs. */
export function mustRecur<Repeat extends { readonly cron: string; readonly timeZone: string }>(
  repeat: Repeat,
  now = Date.now(),
): Repeat {
  const fault = faultOf(repeat.cron, repeat.timeZone, new Date(now));
  if (!fault) return repeat;
  const message =
    fault === 'cron' ? 'must be a cron expression with a time in the future' : 'must be an IANA time zone';
  throw invalidInput([{ path: `/repeat/${fault}`, message }]);
}
