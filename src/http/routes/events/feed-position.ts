import type { Offsets } from '../../../event-store/feed.ts';

const BASE = 36;
const NUMBER = /^[0-9a-z]{1,11}$/;

/** The tag of a log in positions: a position of another log, or of one that was made anew, is refused. */
export const tagOf = (incarnation: string): string => incarnation.slice(0, 8);

/** The opaque text of a position: the log's tag and the next offset of each partition. Only what has changed is written anew. */
export function positionOf(tag: string): (offsets: Offsets) => string {
  const known: number[] = [];
  const texts: string[] = [];
  return (offsets) => {
    // A loop by index, because this runs for every event: an iterator of entries took a quarter of its time.
    for (let index = 0; index < offsets.length; index++) {
      const offset = offsets[index] ?? 0;
      if (known[index] === offset) continue;
      known[index] = offset;
      texts[index] = offset.toString(BASE);
    }
    return `${tag}.${texts.join('.')}`;
  };
}

/** The offsets of a position; undefined when it is none of this log. */
export function parsePosition(text: string, tag: string, partitions: number): Offsets | undefined {
  const [first, ...numbers] = text.split('.');
  if (first !== tag || numbers.length !== partitions || !numbers.every((number) => NUMBER.test(number)))
    return undefined;
  const offsets = numbers.map((number) => Number.parseInt(number, BASE));
  return offsets.every(Number.isSafeInteger) ? offsets : undefined;
}
