import type { AnyEvent } from '../../../src/events/events.ts';
import type { Effect, Outcome, Wish } from './history.ts';
import type { Random } from './random.ts';
import type { Stream, World } from './world.ts';

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
  /** The state after one more accepted event. */
  evolve(thing: Thing | undefined, event: AnyEvent): Thing | undefined;
  /** What the answer to a read, or a refusal, or a success shows of any stream. The version a write made is not told here. */
  sightings(wish: Wish, outcome: Exclude<Outcome, { kind: 'unknown' }>, world: World): Sighting[];
  /** Reads that show all that there is, when the load is over. */
  reads(world: World): Wish[];
  /** Its read models as they must be. */
  readonly tables: readonly ExpectedTable[];
}

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
  /** Column by which rows are told apart. */
  readonly key: string;
  rows(world: World): Thing[];
}

/** What clients have learnt from answers; shared by all of them, so that they meet at the same things. */
export interface Known {
  /** Ids of what was created, deleted things included, oldest first. */
  ids(category: string): readonly string[];
  /** The version that was seen last. */
  version(id: string): number | undefined;
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

/** The rows of a table that has one for each thing that is there. */
export const oneRowEach =
  (category: string, row: (thing: Thing) => Thing) =>
  (world: World): Thing[] =>
    world.ofCategory(category).flatMap((stream: Stream) => {
      const thing = stream.states.at(-1);
      return thing === undefined ? [] : [{ id: stream.id, version: stream.states.length - 1, ...row(thing) }];
    });

/** The version for an `If-Match`, sometimes: the one that was seen last. */
export function sometimesMatching(id: string, random: Random, known: Known) {
  return random.chance(0.3) ? known.version(id) : undefined;
}
