import { STREAM_BYTES } from '../events/envelope.ts';

/** Whether it looks like an id of the category. */
export const isStreamId = (category: string, id: string): boolean =>
  id.length <= STREAM_BYTES && id.startsWith(`${category}-`) && /^\P{Cc}+$/u.test(id.slice(category.length + 1));

/** What looks like no id of the category is none: it reaches neither the log nor the database. Throws what `missing` makes. */
export function streamIds(category: string, missing: () => Error): (id: string) => string {
  return (id) => {
    if (isStreamId(category, id)) return id;
    throw missing();
  };
}
