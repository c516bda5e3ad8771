import { z } from 'zod';

/** Whether Postgres and Avro can keep the string as it is: no NUL, no half of a surrogate pair. */
export const isStorable = (value: string): boolean => !value.includes('\0') && value.isWellFormed();

/** Whether the text has at most `max` characters, counted in code points, not in UTF-16 units. */
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

/** Real text has fewer combining marks in a row, and sorting more of them would cost their number squared. */
const MANY_MARKS = /([\p{M}--\u034f]{30})(?=[\p{M}--\u034f])/gv;

/**
 * The text as it is compared: two texts that differ only in upper and lower case, or in how their characters are encoded, become
 * the same one. Accents stay. The result is stored in the read models, so a change of this function needs a new READ_VERSION.
 */
export function fold(text: string): string {
  const composed = text.replace(MANY_MARKS, '$1\u034f').normalize('NFKC'); // with a joiner, as Unicode has it in Stream-Safe Text
  const folded = composed.split('ı').map(foldCase).join('ı'); // kept, because its upper case is I
  return folded.normalize('NFKC');
}

/**
 * Unicode's full case folding of NFKC without `ı`, which JavaScript does not offer: upper case turns `ß` into `SS`, and lower case
 * before it turns `ẞ` into `ß`. Lower case turns Σ at the end of a word into `ς`.
 */
const foldCase = (text: string): string => text.toLowerCase().toUpperCase().toLowerCase().replaceAll('ς', 'σ');

/** The largest request line, and the largest JSON body that is no batch, in bytes. */
export const REQUEST_LENGTH = 65_536;

/** An unknown id is 404 whether it is well-formed or not, so only the size of a request limits it. */
export const opaqueId = () => storable(REQUEST_LENGTH);

/** A list of at most `max` items. A longer one is refused before any item is validated. */
export const listOf = <Item extends z.ZodType>(item: Item, max: number) =>
  z.preprocess((value, context) => {
    if (!Array.isArray(value) || value.length <= max) return value;
    context.addIssue(`must have at most ${max} items`);
    return z.NEVER;
  }, z.array(item).min(1).max(max));
