import { STREAM_BYTES } from '../events/envelope.ts';

/** Whether the id has the form of one of the category. */
export const isStreamId = (category: string, id: string): boolean =>
  id.length <= STREAM_BYTES && id.startsWith(`${category}-`) && /^\P{Cc}+$/u.test(id.slice(category.length + 1));

/** Checks ids of a category, so that an impossible id reaches neither the log nor the database. Throws the error of `missing`. */
export function streamIds(category: string, missing: () => Error): (id: string) => string {
  return (id) => {
    if (isStreamId(category, id)) return id;
    throw missing();
  };
}
