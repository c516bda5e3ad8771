import { z } from 'zod';
import { isStorable, isWithin } from '../../text.ts';

const MOST_CHARACTERS = 1_000;
/** Of fields that are not known. */
const MOST_FIELDS_NAMED = 10;

const otherwise = (what: string) => (issue: { readonly input?: unknown }) =>
  issue.input === undefined ? 'is required' : what;

/** What Postgres and Avro can keep as it is. */
const storable = z
  .string({ error: otherwise('must be a string') })
  .refine((value) => isWithin(value, MOST_CHARACTERS), {
    error: `must have at most ${MOST_CHARACTERS} characters`,
    abort: true,
  })
  .refine(isStorable, { error: 'must not contain NUL or half a surrogate pair', abort: true });

const text = storable.refine((value) => value !== '', 'must not be empty');

const integer = z.int32({ error: otherwise('must be a whole number of at most 32 bits') });

const album = z.strictObject({ kind: z.literal('album'), name: text, year: integer });

const song = z.strictObject({
  kind: z.literal('song'),
  title: text,
  year: integer,
  genre: text,
  performer: text,
  duration: integer.optional(),
  /** The last album of that name in the lines above, or the id of any. */
  album: storable.optional(),
});

const details = z.discriminatedUnion('kind', [album, song], { error: 'must be album or song' });

/** An album or a song, as whoever creates one by HTTP would have to describe it. */
export type Details = z.output<typeof details>;

/** What a line says; or what is wrong with that, for people. */
export function detailsOf(value: unknown): Details | string {
  const result = details.safeParse(value);
  return result.success ? result.data : result.error.issues.map(describe).join(', ');
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return issue.keys
      .slice(0, MOST_FIELDS_NAMED)
      .map((key) => `${key.slice(0, 50)} is not known here`)
      .join(', ');
  return `${issue.path.length > 0 ? issue.path.join('.') : 'it'} ${issue.message}`;
}
