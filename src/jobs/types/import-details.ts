import { z } from 'zod';
import { isStorable, isWithin } from '../../text.ts';

const MAX_CHARACTERS = 1_000;
/** How many unknown fields a message names. */
const MAX_FIELDS_NAMED = 10;

const requiredOr = (what: string) => (issue: { readonly input?: unknown }) =>
  issue.input === undefined ? 'is required' : what;

/** Text that Postgres and Avro can store unchanged. */
const storable = z
  .string({ error: requiredOr('must be a string') })
  .refine((value) => isWithin(value, MAX_CHARACTERS), {
    error: `must have at most ${MAX_CHARACTERS} characters`,
    abort: true,
  })
  .refine(isStorable, { error: 'must not contain NUL or half a surrogate pair', abort: true });

const text = storable.refine((value) => value !== '', 'must not be empty');

const integer = z.int32({ error: requiredOr('must be a whole number of at most 32 bits') });

const album = z.strictObject({ kind: z.literal('album'), name: text, year: integer });

const song = z.strictObject({
  kind: z.literal('song'),
  title: text,
  year: integer,
  genre: text,
  performer: text,
  duration: integer.optional(),
  /** The last album of that name in the lines above, or the id of any album. */
  album: storable.optional(),
});

const details = z.discriminatedUnion('kind', [album, song], { error: 'must be album or song' });

/** An album or a song, as a client describes it by HTTP. */
export type Details = z.output<typeof details>;

/** What a line says, or a message that says what is wrong with it. */
export function detailsOf(value: unknown): Details | string {
  const result = details.safeParse(value);
  return result.success ? result.data : result.error.issues.map(describe).join(', ');
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return issue.keys
      .slice(0, MAX_FIELDS_NAMED)
      .map((key) => `${key.slice(0, 50)} is not known here`)
      .join(', ');
  return `${issue.path.length > 0 ? issue.path.join('.') : 'it'} ${issue.message}`;
}
