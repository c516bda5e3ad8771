import { z } from 'zod';
import { STRATEGIES } from '../../../jobs/backoff.ts';
import { CRON_LENGTH } from '../../../jobs/cron.ts';
import { providerName } from '../../../jobs/mailing.ts';
import { MISSED } from '../../../jobs/repeats.ts';
import { JOB_STATES } from '../../../projections/jobs.ts';
import { storable } from '../../../text.ts';
import { success } from '../../schemas.ts';

const moment = z.iso.datetime({ offset: true, error: 'must be a time as in 2030-01-31T09:30:00Z' }).max(40);

/** The repeat of a job. */
export const repeat = z.strictObject({
  cron: storable(CRON_LENGTH).meta({
    description:
      'Five fields, or six with seconds first. Where clocks change, times that are left out come once, together, right after ' +
      'the change, and times that come twice count the first time. With a wildcard (`*`) in minutes or hours it goes by elapsed ' +
      'time instead: it comes whenever the clock shows one of its times.',
    examples: ['0 9 * * 1'],
  }),
  timeZone: storable(100).meta({ description: 'IANA name.', examples: ['Asia/Jakarta'] }),
  missed: z
    .enum(MISSED, { error: `must be one of ${MISSED.join(', ')}` })
    .optional()
    .meta({
      description:
        'What happens to times that pass while no scheduler runs: the last one occurs (`run-once`, the default), ' +
        'each one (`run-all`), none (`skip`).',
    }),
  until: moment.optional().meta({
    description: 'No occurrence after this time. A user’s job ends after at most a year and 1,000 occurrences.',
    examples: ['2030-01-31T09:30:00Z'],
  }),
});

/** When a job is to run. */
export const timing = {
  deliverAt: moment
    .optional()
    .meta({ description: 'The job does not run before; at most ten years ahead.', examples: ['2030-01-31T09:30:00Z'] }),
  repeat: repeat
    .optional()
    .meta({ description: 'Repeats the job. Each occurrence is a job of its own, which names this one as its parent.' }),
};

const MAX_ATTEMPTS = 20;
const MAX_PRIORITY = 100;

/** How a job is to run. */
export const handling = {
  attempts: z
    .int()
    .min(1)
    .max(MAX_ATTEMPTS)
    .optional()
    .meta({ description: 'Attempts that may fail, of the job and of each item; JOB_ATTEMPTS (5) by default.' }),
  backoff: z
    .enum(STRATEGIES, { error: `must be one of ${STRATEGIES.join(', ')}` })
    .optional()
    .meta({
      description:
        'Pause after an attempt that failed: any part of JOB_BACKOFF_SECONDS, which is doubled each time (`exponential`), ' +
        'the same each time (`fixed`), none (`none`).',
    }),
  priority: z
    .int()
    .min(-MAX_PRIORITY)
    .max(MAX_PRIORITY)
    .optional()
    .meta({ description: 'Among your own jobs that are due, a higher one comes first; 0 by default.' }),
};

/** More fields than any job type has. */
const PAYLOAD_FIELDS = 100;

/** Validated by the schema of the job type, which bounds its content. */
export const payloadField = z
  .record(z.string(), z.unknown())
  .refine((payload) => Object.keys(payload).length <= PAYLOAD_FIELDS, `must have at most ${PAYLOAD_FIELDS} fields`)
  .meta({ maxProperties: PAYLOAD_FIELDS });

/** The mail provider. */
export const provider = providerName.meta({ description: 'The mail provider; the configured default if not given.' });

const time = z.iso.datetime();

const progress = z.strictObject({ done: z.int(), total: z.int(), failed: z.int() });

const attempt = z.strictObject({
  startedAt: time,
  finishedAt: time.nullable().meta({ description: 'Null while it runs.' }),
  error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
});

const fields = {
  id: z.string(),
  type: z.string(),
  state: z.enum(JOB_STATES),
  progress,
  attempts: z.array(attempt).readonly(),
  createdAt: time,
  deliverAt: time.optional().meta({ description: 'Of a repeating job: the next occurrence.' }),
  finishedAt: time.optional(),
  repeat: z
    .strictObject({
      cron: z.string(),
      timeZone: z.string(),
      missed: z.string(),
      until: time.optional(),
      count: z.int().optional().meta({ description: 'Occurrences after which it ends.' }),
    })
    .optional(),
  parentId: z.string().optional(),
  replaces: z.string().optional().meta({ description: 'The dead job that this one replaces.' }),
  result: z
    .record(z.string(), z.unknown())
    .optional()
    .meta({ description: 'With `fileId` when the job has made a file.' }),
};

export const jobView = z.strictObject(fields).meta({ id: 'Job' });

export const deadLetterView = z
  .strictObject({
    ...fields,
    ownerId: z.string(),
    provider: z.string().nullable().meta({ description: 'The mail provider.' }),
    parameters: z.record(z.string(), z.unknown()).meta({ description: 'As stored on the log.' }),
    payload: z
      .unknown()
      .meta({ description: 'The payload stored in Postgres; null when there was none, or it has been deleted.' }),
  })
  .meta({ id: 'DeadLetter' });

export const jobAccepted = success(z.strictObject({ jobId: z.string() }));

export const linkView = z
  .strictObject({
    url: z.string().meta({ description: 'Needs no login.' }),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'Link' });
