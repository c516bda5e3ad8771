import { z } from 'zod';

/** Whether Postgres and Avro can keep the string as it is: no NUL, no half of a surrogate pair. */
export const isStorable = (value: string): boolean => !value.includes('\0') && value.isWellFormed();

/** Whether the text has at most `max` characters, counted as people do, not in UTF-16. */
export function isWithin(value: string, max: number): boolean {
  if (value.length <= max) return true;
  return value.length <= 2 * max && Array.from(value).length <= max;
}

/** Text that can be stored, of at most `max` characters. */
export const storable = (max: number) =>
  z
    .string()
    .refine((value) => isWithin(value, max), { error: `must have at most ${max} characters`, abort: true })
    .refine(isStorable, { error: 'must not contain NUL or half a surrogate pair', abort: true })
    .meta({ maxLength: max });

/** Text has fewer marks in a row, and to put more of them in order would cost their number squared. */
const MANY_MARKS = /([\p{M}--\u034f]{30})(?=[\p{M}--\u034f])/gv;

/**
 * The text as it is compared with others: two that differ in upper and lower case alone, or in how their characters are
 * encoded, become the same one. Accents stay. It is stored in the read models, so a change of it needs a new READ_VERSION.
 */
export function fold(text: string): string {
  const composed = text.replace(MANY_MARKS, '$1\u034f').normalize('NFKC'); // with a joiner, as Unicode has it in Stream-Safe Text
  const folded = composed.split('ı').map(foldCase).join('ı'); // its upper case is I
  return folded.normalize('NFKC');
}

/**
 * Unicode's full case folding of NFKC without `ı`, which JavaScript has not: upper case writes `ß` out as `SS`, lower case before
 * it brings `ẞ` there. `ς` is what lower case makes of Σ at the end of a word.
 */
const foldCase = (text: string): string => text.toLowerCase().toUpperCase().toLowerCase().replaceAll('ς', 'σ');

/** All that fits into a request line, or into a JSON body that is no batch. */
export const REQUEST_LENGTH = 65_536;

/** An id that nothing has is 404 whatever it looks like, so only the request bounds it. */
export const opaqueId = () => storable(REQUEST_LENGTH);

/** A list of at most `max` things. A longer one is refused before any of them is looked at. */
export const listOf = <Item extends z.ZodType>(item: Item, max: number) =>
  z.preprocess((value, context) => {
    if (!Array.isArray(value) || value.length <= max) return value;
    context.addIssue(`must have at most ${max} items`);
    return z.NEVER;
  }, z.array(item).min(1).max(max));
