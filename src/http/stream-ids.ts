import { STREAM_BYTES } from '../events/envelope.ts';

/** What looks like no id of the category is none: it reaches neither the log nor the database. Throws what `missing` makes. */
export function streamIds(category: string, missing: () => Error): (id: string) => string {
  const form = new RegExp(`^${category}-\\P{Cc}+$`, 'u');
  return (id) => {
    if (id.length <= STREAM_BYTES && form.test(id)) return id;
    throw missing();
  };
}
