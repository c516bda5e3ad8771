import type { Effect, Outcome, Person, Wish } from './history.ts';
import type { Random } from './random.ts';
import type { Accepted } from './rule.ts';
import type { Fact, World } from './world.ts';

/** The state of a stream that is there; what is not there yet, or deleted, is undefined. */
export type Thing = Readonly<Record<string, unknown>>;

/**
 * All that is special about one category of streams. To check more of the product, describe another category and add it to
 * `categories.ts`: clients, log, folding and every rule are the same for all.
 */
export interface Category {
  /** The part of the stream ids before the first dash. */
  readonly name: string;
  /** How often clients choose it, against the others. */
  readonly weight: number;
  /** The next request of a client; undefined when there is nothing yet to ask about. */
  next(random: Random, known: Known): Wish | undefined;
  /** The id in the answer to a request that made something new. */
  created(body: unknown): string | undefined;
  /** The state after one more accepted record. */
  evolve(thing: Thing | undefined, fact: Fact): Thing | undefined;
  /** Whether a record could be accepted in this state. */
  allows(thing: Thing | undefined, fact: Fact): boolean;
  /** What a stream counts for, together with others of its partition: the id of another category's, which is on no log. */
  tally?(stream: string): string;
  /** What an answer shows of any stream. The version a write made is not told here. */
  sightings(wish: Wish, outcome: Answered, world: World): readonly Sighting[];
  /** Reads that show all that there is, when the load is over. */
  reads(world: World): Wish[];
  /** Its read models as they must be. */
  readonly tables: readonly ExpectedTable[];
}

/** An answer that says something. Of a write that was done it has the record. */
export type Answered = Exclude<Outcome, { kind: 'unknown' }> & { readonly made?: Accepted };

/** What an answer says of one stream. */
export interface Sighting {
  readonly stream: string;
  /** Shown in violations. */
  readonly saw: string;
  /** Whether the answer can have been given of this version. */
  fits(thing: Thing | undefined, version: number): boolean;
}

export interface ExpectedTable {
  readonly name: string;
  /** Columns by which rows are told apart. */
  readonly key: string;
  rows(world: World): Thing[];
}

/** What clients have learnt from answers; shared by all of them, so that they meet at the same things. */
export interface Known {
  /** Ids of what was created, deleted things included, oldest first. */
  ids(category: string): readonly string[];
  /** The version that was seen last. */
  version(id: string): number | undefined;
  /** Fields of the last writes to it that were done. */
  sent(id: string): Readonly<Record<string, unknown>>;
  readonly people: readonly Person[];
  /** Who created it. */
  maker(id: string): Person | undefined;
}

/** A request that changes something, and the event that must come of it. */
export const write = (
  category: string,
  [method, path]: readonly [Exclude<Wish['method'], 'GET'>, string],
  effect: Effect,
  json?: object,
): Wish => ({ category, method, path, effect, json });

/** A thing to ask about: mostly one of the newest, so that clients meet. */
export function someId(category: string, random: Random, known: Known): string | undefined {
  const ids = known.ids(category);
  return random.pick(random.chance(0.8) ? ids.slice(-HOT) : ids);
}

const HOT = 12;

/** The version before the dash of an ETag. */
export const versionOf = (etag: string | undefined): number | undefined => {
  const version = /^"(\d+)-/.exec(etag ?? '')?.[1];
  return version === undefined ? undefined : Number(version);
};

/** That there is no such thing, or not any more. */
export const absent = (stream: string): Sighting => ({
  stream,
  saw: 'that it does not exist',
  fits: (thing) => thing === undefined,
});

export const present = (stream: string): Sighting => ({
  stream,
  saw: 'that it exists',
  fits: (thing) => thing !== undefined,
});

/** What a refusal says, by its code. The statuses that any write may get say nothing; nothing else is known to be said. */
export function refusalSightings(
  { status, code }: { readonly status: number; readonly code: string },
  meanings: Readonly<Record<string, readonly Sighting[]>>,
): readonly Sighting[] {
  const said = meanings[code];
  if (said) return said;
  if ([409, 412, 503].includes(status)) return [];
  throw new Error(`nobody knows what ${code} means here`);
}

export interface Listing<Item> {
  /** Shown in violations. */
  readonly name: string;
  readonly shown: readonly Item[];
  /** Streams that were to be in it at any time: another one says nothing by not being listed. */
  readonly ever: readonly string[];
  /** Whether a thing is to be in it. */
  belongs(thing: Thing): boolean;
  /** Whether an item shows the thing. */
  shows(item: Item, thing: Thing): boolean;
}

/** What a list shows of everything that was ever to be in it: what is, as it is, and that the rest is not. */
export function listSightings<Item extends { readonly id: string }>(listing: Listing<Item>): Sighting[] {
  const { name, belongs, shows, ever } = listing;
  const shown = new Map(listing.shown.map((item) => [item.id, item]));
  return [...new Set([...shown.keys(), ...ever])].map((stream) => {
    const item = shown.get(stream);
    if (!item) return { stream, saw: `${name} without it`, fits: (thing) => thing === undefined || !belongs(thing) };
    const saw = `it in ${name} as ${JSON.stringify(item)}`;
    return { stream, saw, fits: (thing) => thing !== undefined && belongs(thing) && shows(item, thing) };
  });
}

/** The rows of a table that follow from each thing that is there. */
export const rowsOfEach =
  (category: string, rows: (thing: Thing, id: string, version: number) => readonly Thing[]) =>
  (world: World): Thing[] =>
    world.ofCategory(category).flatMap(({ id, states }) => {
      const thing = states.at(-1);
      return thing === undefined ? [] : rows(thing, id, states.length - 1);
    });

/** The version for an `If-Match`, sometimes: the one that was seen last. */
export function sometimesMatching(id: string, random: Random, known: Known) {
  return random.chance(0.3) ? known.version(id) : undefined;
}
