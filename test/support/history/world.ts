import type { AnyEvent } from '../../../src/events/events.ts';
import { categoryOf } from '../../../src/events/ids.ts';
import { categories } from './categories.ts';
import type { Thing } from './category.ts';
import type { History, Operation, Person } from './history.ts';
import type { Accepted } from './rule.ts';

/** The expected state: the folded log, and the requests behind it. */
export interface World {
  /** The streams of the log. */
  readonly streams: readonly Stream[];
  /** Empty for a stream that is not in the log. */
  stream(id: string): Stream;
  /** A stream of the log, or a total. */
  ofCategory(name: string): readonly Stream[];
  /** Accepted records of this request. */
  madeBy(attemptId: string): readonly Accepted[];
  /** The version that an accepted record made: of its stream, and of the total that it counts towards. */
  versionsOf(record: Accepted): readonly { readonly stream: Stream; readonly version: number }[];
  /** Every person who asked for anything, by account id. */
  readonly people: ReadonlyMap<string, Person>;
}

export interface Stream {
  readonly id: string;
  /** Version n is at n - 1. */
  readonly accepted: readonly Accepted[];
  /** The state at each version, from 0, the empty state. It ends where the stream is quarantined. */
  readonly states: readonly (Thing | undefined)[];
}

/** An accepted record with a decoded event. */
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
  new Map(operations.flatMap(({ request: { as } }) => (as ? [[as.id, as]] : [])));

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

/** The total over several streams of one partition: all their records, in log order. */
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

/** When the request of each version began; no client can have seen it before. */
export function beginnings({ operations }: Pick<History, 'operations'>): Map<string, number> {
  return new Map(operations.flatMap(({ attempts }) => attempts.map(({ id, start }) => [id, start])));
}

/** The name of an attempt in violations. */
export function nameOf({ request, key }: Operation, { id, url, start, end }: Operation['attempts'][number]): string {
  const who = request.as ? ` of ${request.as.id}` : '';
  const sent = `${request.method} ${request.path}${who} ${id} to ${url}${key === undefined ? '' : ' with a key'}`;
  return `${sent} (${start.toFixed(1)} to ${end.toFixed(1)} ms)`;
}
