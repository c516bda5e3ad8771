import { z } from 'zod';
import { isVisible, normalUsername, USERNAME_LENGTH } from '../accounts/usernames.ts';
import { isWithin, REQUEST_LENGTH, storable } from '../text.ts';

const TEXT_LENGTH = 1_000;

/** At most 1,000 characters. */
export const shortText = () => storable(TEXT_LENGTH);

/** A name, title, genre or performer: 1 to 1,000 characters. zod's own `min` would check the length of a list too. */
export const text = (description: string, example: string) =>
  shortText()
    .refine((value) => value !== '', { error: 'must not be empty' })
    .meta({ description, examples: [example], minLength: 1 });

/** A username as it is stored: normalised, and without invisible characters. */
export const username = (description: string, example: string) =>
  storable(REQUEST_LENGTH)
    .overwrite(normalUsername)
    .refine((value) => value !== '', { error: 'must not be empty' })
    .refine((value) => isWithin(value, USERNAME_LENGTH), {
      error: `must have at most ${USERNAME_LENGTH} characters`,
    })
    .refine(isVisible, { error: 'must not contain characters that are invisible or that change direction' })
    .meta({ description, examples: [example], minLength: 1, maxLength: USERNAME_LENGTH });

/** A password: storable, and short enough to be hashed. */
export const password = (description: string) => storable(1_000).meta({ description, format: 'password' });

/** A whole number that fits Postgres' integer and Avro's int. */
export const integer = (description: string, example: number) => z.int32().meta({ description, examples: [example] });

export const params = z.object({
  id: z.string().max(REQUEST_LENGTH).meta({ description: 'Opaque; an unknown one is 404.' }),
});

/** Headers of every write. */
export const writeHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters')
    .optional()
    .meta({
      maxLength: 255,
      description:
        'Identifies this command. A repeated command has no second effect and gets the same answer, marked ' +
        '`Idempotency-Replayed: true`; with another body it is 422. Without a login the key must have at least 22 characters.',
      examples: ['6f1b3a52-4c1e-4a53-9a4e-import-0001'],
    }),
});

export const changeHeaders = writeHeaders.extend({
  'if-match': z
    .string()
    .max(REQUEST_LENGTH)
    .optional()
    .meta({ description: 'ETags of which one must match, or `*`. Only the version before the dash is compared.' }),
});

export const readHeaders = z.object({
  'if-none-match': z
    .string()
    .max(REQUEST_LENGTH)
    .optional()
    .meta({ description: 'ETags the client has already, or `*`. 304 when one of them is still current.' }),
});

/** `{status: "success", data}` */
export const success = <Data extends z.ZodType>(data: Data) => z.strictObject({ status: z.literal('success'), data });

/** `{status: "success", message}` */
export const done = (example: string) =>
  z.strictObject({ status: z.literal('success'), message: z.string().meta({ examples: [example] }) });

export const songSummary = z
  .strictObject({
    id: z.string().meta({ examples: ['song-01999d3e8f5c7a40b2f10c9a4e6d1b78'] }),
    title: z.string(),
    performer: z.string(),
  })
  .meta({ id: 'SongSummary' });

export const playlistSummary = z.strictObject({
  id: z.string(),
  name: z.string(),
  username: z.string().meta({ description: 'The owner’s.' }),
});

export const errorSchema = z
  .strictObject({
    status: z.enum(['fail', 'error']).meta({ description: '`fail`: the request is at fault; `error`: the server is.' }),
    message: z.string().meta({ description: 'For people.', examples: ['There is no such album.'] }),
    code: z.string().meta({ description: 'Stable, for programs.', examples: ['ALBUM_NOT_FOUND'] }),
    requestId: z.string().meta({ examples: ['01999d3e-8f5c-7a40-b2f1-0c9a4e6d1b77'] }),
    errors: z
      .array(
        z.strictObject({
          path: z.string().meta({ description: 'JSON pointer.', examples: ['/year'] }),
          message: z.string().meta({ examples: ['must be a whole number'] }),
        }),
      )
      .optional()
      .meta({ description: 'What is wrong with the input, and where.' }),
  })
  .meta({ id: 'Error' });

export const problemSchema = z
  .strictObject({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    requestId: z.string(),
    errors: errorSchema.shape.errors,
  })
  .meta({ id: 'Problem', description: 'RFC 9457, for clients that accept `application/problem+json`.' });
