import type { AnyEvent } from '../../../src/events/events.ts';
import { categoryOf } from '../../../src/events/ids.ts';
import { categories } from './categories.ts';
import type { Thing } from './category.ts';
import type { History, Operation, Person } from './history.ts';
import type { Accepted } from './rule.ts';

/** The truth: what the log says, folded, and who asked for it. */
export interface World {
  /** Those of the log. */
  readonly streams: readonly Stream[];
  /** Empty for one that the log does not know. */
  stream(id: string): Stream;
  /** Of the log, or tallies. */
  ofCategory(name: string): readonly Stream[];
  /** Accepted records that this request made. */
  madeBy(attemptId: string): readonly Accepted[];
  /** Which version of what an accepted record is: of its stream, and of the tally that it counts for. */
  versionsOf(record: Accepted): readonly { readonly stream: Stream; readonly version: number }[];
  /** Everybody who asked for anything, by account id. */
  readonly people: ReadonlyMap<string, Person>;
}

export interface Stream {
  readonly id: string;
  /** Version n at n - 1. */
  readonly accepted: readonly Accepted[];
  /** The state at each version, from 0, at which there is nothing. It ends where the stream is quarantined. */
  readonly states: readonly (Thing | undefined)[];
}

/** An accepted record that says something. */
export type Fact = Accepted & { readonly event: AnyEvent };

export function createWorld(
  accepted: ReadonlyMap<string, readonly Accepted[]>,
  { operations }: Pick<History, 'operations'>,
): World {
  const streams = [...accepted].map(([id, records]) => fold(id, records));
  const tallies = talliesOf(streams);
  const all = new Map([...streams, ...tallies].map((stream) => [stream.id, stream]));
  const byCategory = Map.groupBy(all.values(), ({ id }) => categoryOf(id));
  const byRequest = Map.groupBy([...accepted.values()].flat(), ({ correlationId }) => correlationId);
  const stream = (id: string): Stream => all.get(id) ?? { id, accepted: [], states: [undefined] };
  return {
    streams,
    stream,
    people: peopleOf(operations),
    ofCategory: (name) => byCategory.get(name) ?? [],
    madeBy: (attemptId) => byRequest.get(attemptId) ?? [],
    versionsOf(record) {
      const tally = tallyOf(record.stream);
      const ids = tally === undefined ? [record.stream] : [record.stream, tally];
      return ids.map(stream).map((each) => ({ stream: each, version: each.accepted.indexOf(record) + 1 }));
    },
  };
}

export const peopleOf = (operations: readonly Operation[]): Map<string, Person> =>
  new Map(operations.flatMap(({ wish: { as } }) => (as ? [[as.id, as]] : [])));

function fold(id: string, accepted: readonly Accepted[]): Stream {
  const category = categories.find(({ name }) => name === categoryOf(id));
  const states: (Thing | undefined)[] = [undefined];
  for (const record of accepted) {
    if (!isFact(record)) break;
    states.push(category?.evolve(states.at(-1), record));
  }
  return { id, accepted, states };
}

export const isFact = (record: Accepted): record is Fact => record.event.type !== 'undecodable';

const tallyOf = (stream: string): string | undefined =>
  categories.find(({ name }) => name === categoryOf(stream))?.tally?.(stream);

/** What several streams of one partition add up to: all their records, in the order of the log. */
function talliesOf(streams: readonly Stream[]): Stream[] {
  const facts = streams.flatMap(({ accepted, states }) => accepted.slice(0, states.length - 1));
  return [...Map.groupBy(facts, ({ stream }) => tallyOf(stream))].flatMap(([id, records]) =>
    id === undefined
      ? []
      : [
          fold(
            id,
            records.toSorted((one, other) => one.record.offset - other.record.offset),
          ),
        ],
  );
}

/** When the request of each version began; before that nobody can have seen it. */
export function beginnings({ operations }: Pick<History, 'operations'>): Map<string, number> {
  return new Map(operations.flatMap(({ attempts }) => attempts.map(({ id, start }) => [id, start])));
}

/** An attempt as violations name it. */
export function nameOf({ wish, key }: Operation, { id, url, start, end }: Operation['attempts'][number]): string {
  const who = wish.as ? ` of ${wish.as.id}` : '';
  const sent = `${wish.method} ${wish.path}${who} ${id} to ${url}${key === undefined ? '' : ' with a key'}`;
  return `${sent} (${start.toFixed(1)} to ${end.toFixed(1)} ms)`;
}
