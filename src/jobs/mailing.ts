import { z } from 'zod';
import { AppError } from '../errors.ts';
import { isAddress } from '../providers/mail/address.ts';
import { storable } from '../text.ts';
import type { PlanContext } from './job-type.ts';

/** One e-mail address. */
export const addressed = z.string().max(320).refine(isAddress, 'must be an e-mail address');

/** A mail to one address. */
export const message = z.strictObject({
  to: addressed,
  subject: storable(1_000)
    .refine((subject) => subject !== '', 'must not be empty')
    .meta({ minLength: 1 }),
  body: storable(50_000),
});

/** Name of a provider of mail. */
export const providerName = storable(100).optional();

/** The provider that was asked for, or the default one. Throws when it is not enabled. */
export function providerOf(
  wanted: string | undefined,
  { enabled, default: defaultProvider }: PlanContext['mail'],
): string {
  const provider = wanted ?? defaultProvider;
  if (enabled.includes(provider)) return provider;
  throw new AppError('rejected', 'PROVIDER_NOT_ENABLED', `Mail goes by ${enabled.join(' or ')} here.`);
}

/** SQL for the domain to which the mail of a batch's item goes. */
export const MAIL_DOMAIN = "split_part(lower(payload->>'to'), '@', 2)";

/**
 * SQL condition on a job `q` of the queue and its payload `p`: whether it has a mail to send now to another domain. `domain` is an SQL
 * expression in lower case.
 */
export const mailsOutside = (domain: string): string => `(
  split_part(lower(coalesce(p.payload->>'to', p.payload->>'targetEmail')), '@', 2) <> ${domain}
  OR EXISTS (SELECT FROM job_items WHERE payload_id = q.payload_id AND state = 'waiting' AND next_at <= now() AND ${MAIL_DOMAIN} <> ${domain}))`;
