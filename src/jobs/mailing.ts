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
