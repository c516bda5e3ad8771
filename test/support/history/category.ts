import type { Effect, Outcome, Person, PlannedRequest } from './history.ts';
import type { Random } from './random.ts';
import type { Accepted } from './rule.ts';
import type { Fact, World } from './world.ts';

/** The state of an existing stream; undefined for one that does not exist yet or was deleted. */
export type Thing = Readonly<Record<string, unknown>>;

/**
 * Everything specific to one category of streams. To check more of the product, describe another category and add it to
 * `categories.ts`: clients, log, folding and every rule are the same for all.
 */
export interface Category {
  /** The prefix of the stream ids, before the first dash. */
  readonly name: string;
  /** The weight with which clients choose it. */
  readonly weight: number;
  /** The next request of a client; undefined while there is nothing to ask for. */
  next(random: Random, known: Known): PlannedRequest | undefined;
  /** The id in the answer to a request that created something. */
  created(body: unknown): string | undefined;
  /** The state after one more accepted record. */
  evolve(thing: Thing | undefined, fact: Fact): Thing | undefined;
  /** Whether a record could be accepted in this state. */
  allows(thing: Thing | undefined, fact: Fact): boolean;
  /**
   * The total that a stream counts towards, together with others of its partition: an id of another category, which is not
   * in the log.
   */
  tally?(stream: string): string;
  /** What an answer shows of any stream. The version that a write made is not part of it. */
  observations(request: PlannedRequest, outcome: Answered, world: World): readonly Observation[];
  /** Reads of everything there is, for the end of the load. */
  reads(world: World): PlannedRequest[];
  /** The expected rows of its read models. */
  readonly tables: readonly ExpectedTable[];
}

/** A successful answer. For a completed write it has the record. */
export type Answered = Exclude<Outcome, { kind: 'unknown' }> & { readonly made?: Accepted };

/** What an answer shows of one stream. */
export interface Observation {
  readonly stream: string;
  /** Shown in violations. */
  readonly saw: string;
  /** Whether the answer can come from this version. */
  fits(thing: Thing | undefined, version: number): boolean;
}

export interface ExpectedTable {
  readonly name: string;
  /** Columns that identify a row. */
  readonly key: string;
  rows(world: World): Thing[];
}

/** Facts that clients have learnt from answers; shared by all of them, so that they meet at the same things. */
export interface Known {
  /** Ids of everything that was created, with deleted things, oldest first. */
  ids(category: string): readonly string[];
  /** The version that was seen last. */
  version(id: string): number | undefined;
  /** Fields of its last successful writes. */
  sent(id: string): Readonly<Record<string, unknown>>;
  readonly people: readonly Person[];
  /** The person who created it. */
  maker(id: string): Person | undefined;
}

/** A request that changes something, and the event that must result. */
export const write = (
  category: string,
  [method, path]: readonly [Exclude<PlannedRequest['method'], 'GET'>, string],
  effect: Effect,
  json?: object,
): PlannedRequest => ({ category, method, path, effect, json });

/** A thing to ask for: mostly one of the newest, so that clients meet. */
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

/** The answer that there is no such thing, or not any more. */
export const absent = (stream: string): Observation => ({
  stream,
  saw: 'that it does not exist',
  fits: (thing) => thing === undefined,
});

export const present = (stream: string): Observation => ({
  stream,
  saw: 'that it exists',
  fits: (thing) => thing !== undefined,
});

/** What a rejection says, by its code. The statuses that any write may get say nothing; all other codes are unknown. */
export function rejectionObservations(
  { status, code }: { readonly status: number; readonly code: string },
  meanings: Readonly<Record<string, readonly Observation[]>>,
): readonly Observation[] {
  const said = meanings[code];
  if (said) return said;
  if ([409, 412, 503].includes(status)) return [];
  throw new Error(`the code ${code} has no meaning here`);
}

export interface Listing<Item> {
  /** Shown in violations. */
  readonly name: string;
  readonly shown: readonly Item[];
  /** Streams that belonged in it at any time: another one says nothing by its absence. */
  readonly ever: readonly string[];
  /** Whether a thing belongs in the list. */
  belongs(thing: Thing): boolean;
  /** Whether an item shows the thing. */
  shows(item: Item, thing: Thing): boolean;
}

/**
 * What a list shows of everything that ever belonged in it: the present items with their state, and the absence of the
 * rest.
 */
export function listObservations<Item extends { readonly id: string }>(listing: Listing<Item>): Observation[] {
  const { name, belongs, shows, ever } = listing;
  const shown = new Map(listing.shown.map((item) => [item.id, item]));
  return [...new Set([...shown.keys(), ...ever])].map((stream) => {
    const item = shown.get(stream);
    if (!item) return { stream, saw: `${name} without it`, fits: (thing) => thing === undefined || !belongs(thing) };
    const saw = `it in ${name} as ${JSON.stringify(item)}`;
    return { stream, saw, fits: (thing) => thing !== undefined && belongs(thing) && shows(item, thing) };
  });
}

/** The rows of a table that follow from each existing thing. */
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
