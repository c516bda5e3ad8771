import { z } from 'zod';

/** The kinds of settings, for src/config.ts and for providers, which have settings of their own. */

export const port = z.coerce.number().int().min(0).max(65_535);
export const seconds = z.coerce.number().int().min(1);
export const count = z.coerce.number().int().min(1);
/** Seconds, hours or days. Tests use fractions. */
export const duration = z.coerce.number().positive();
export const onOff = z.enum(['on', 'off']);
/** Comma-separated, with at least one entry. */
export const list = z
  .string()
  .transform((text) => text.split(',').map((each) => each.trim()))
  .pipe(z.array(z.string().min(1)).min(1));
export const key = z
  .string()
  .refine((text) => Buffer.byteLength(text) >= 32, 'must be at least 32 bytes; `openssl rand -base64 48` makes one');

/** How a secret is shown: not at all, or as a URL without user and password. */
export type Secrecy = 'hidden' | 'url';

/** Marks a setting whose value must not be shown, and which can also be given as the path of a file, by NAME_FILE. */
export const secret = <Schema extends z.ZodType>(schema: Schema, secrecy: Secrecy = 'hidden'): Schema =>
  schema.meta({ secrecy });
