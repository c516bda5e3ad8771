import { z } from 'zod';
import { isStorable } from '../text.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
const NOT_OURS = 'is not a cursor of this list';
/** Longer than any cursor of ours: they are made of ids and times. */
const CURSOR_LENGTH = 1_000;

const fault = `must be a number from 1 to ${MAX_LIMIT}`;

/** The size of a page. */
export const limitQuery = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, fault)
  .transform(Number)
  .refine((number) => number <= MAX_LIMIT, fault)
  .optional()
  .meta({
    description: `Items per page; ${DEFAULT_LIMIT} by default.`,
    type: 'integer',
    minimum: 1,
    maximum: MAX_LIMIT,
  });

/** A cursor is opaque to clients: the encoded key of the last item of a page. */
const toCursor = (key: string): string => Buffer.from(key).toString('base64url');
const fromCursor = (cursor: string): string => Buffer.from(cursor, 'base64url').toString();

/** The cursor of a page. `parse` reads the key of the last item of the page before; undefined when it is no valid key. */
export const cursorQuery = <Key>(parse: (key: string) => Key | undefined) =>
  z
    .string()
    .max(CURSOR_LENGTH, { error: NOT_OURS, abort: true })
    .transform((text, context): Key => {
      const key = fromCursor(text);
      const parsed = text !== '' && toCursor(key) === text && isStorable(key) ? parse(key) : undefined;
      if (parsed !== undefined) return parsed;
      context.addIssue(NOT_OURS);
      return z.NEVER;
    })
    .optional()
    .meta({ description: 'The `nextCursor` of the previous page.', type: 'string', maxLength: CURSOR_LENGTH });

/** The key of a job, of its file or of a deleted playlist in a list that has the newest first. */
export interface Moment {
  readonly createdAt: string;
  readonly id: string;
}

/** Whether the time exists, also for Postgres: no 30 February, which `Date` turns into March, and no year 0. */
function isMoment(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString() === text && date.getUTCFullYear() > 0;
}

const momentsOf = (category: 'job' | 'playlist') =>
  cursorQuery((key): Moment | undefined => {
    const [, createdAt, id] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+)$/.exec(key) ?? [];
    if (createdAt === undefined || id === undefined) return undefined;
    const isOurs = isMoment(createdAt) && id.startsWith(`${category}-`);
    return isOurs ? { createdAt, id } : undefined;
  });

export const momentQuery = momentsOf('job');
export const deletionQuery = momentsOf('playlist');

export const momentKey = ({ createdAt, id }: Moment): string => `${createdAt} ${id}`;

export const nextCursor = z.string().nullable().meta({ description: 'Cursor of the next page; null on the last one.' });

/** One page of a list, for `inPieces`. */
export const pageOf = <Row>(keyOf: (last: Row) => string, size = DEFAULT_LIMIT) => ({
  size,
  cursorOf: (last: Row) => toCursor(keyOf(last)),
});
