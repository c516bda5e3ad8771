import { z } from 'zod';
import { AppError } from '../errors.ts';
import { isAddress } from '../providers/mail/address.ts';
import { storable } from '../text.ts';
import type { PlanContext } from './job-type.ts';

/** One e-mail address. */
export const addressed = z.string().max(320).refine(isAddress, 'must be an e-mail address');

/** What is mailed to one address. */
export const message = z.strictObject({
  to: addressed,
  subject: storable(1_000)
    .refine((subject) => subject !== '', 'must not be empty')
    .meta({ minLength: 1 }),
  body: storable(50_000),
});

/** Who sends mail. */
export const providerName = storable(100).optional();

/** Gives the requested provider, if it is enabled, or the default one. */
export function providerOf(wanted: string | undefined, { enabled, ...mail }: PlanContext['mail']): string {
  const provider = wanted ?? mail.default;
  if (enabled.includes(provider)) return provider;
  throw new AppError('rejected', 'PROVIDER_NOT_ENABLED', `Mail goes by ${enabled.join(' or ')} here.`);
}

/** In SQL, of an item of a batch: where its mail goes. */
export const MAIL_DOMAIN = "split_part(lower(payload->>'to'), '@', 2)";

/**
 * A condition in SQL on a job of the queue `q` and its payload `p`: whether it has a mail to send now outside of a domain, which is an
 * expression in lower case.
 */
export const mailsOutside = (domain: string): string => `(
  split_part(lower(coalesce(p.payload->>'to', p.payload->>'targetEmail')), '@', 2) <> ${domain}
  OR EXISTS (SELECT FROM job_items WHERE payload_id = q.payload_id AND state = 'waiting' AND next_at <= now() AND ${MAIL_DOMAIN} <> ${domain}))`;
