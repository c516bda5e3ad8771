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
