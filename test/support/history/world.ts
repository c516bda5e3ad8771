import { categoryOf } from '../../../src/events/ids.ts';
import { categories } from './categories.ts';
import type { Thing } from './category.ts';
import type { History, Operation } from './history.ts';
import type { Accepted } from './rule.ts';

/** The truth: what the log says, folded, and who asked for it. */
export interface World {
  readonly streams: readonly Stream[];
  /** Empty for one that the log does not know. */
  stream(id: string): Stream;
  ofCategory(name: string): readonly Stream[];
  /** Accepted records that this request made. */
  madeBy(attemptId: string): readonly Accepted[];
}

export interface Stream {
  readonly id: string;
  /** Version n at n - 1. */
  readonly accepted: readonly Accepted[];
  /** The state at each version, from 0, at which there is nothing. It ends where the stream is quarantined. */
  readonly states: readonly (Thing | undefined)[];
}

export function createWorld(accepted: ReadonlyMap<string, readonly Accepted[]>): World {
  const streams = new Map([...accepted].map(([id, records]) => [id, fold(id, records)]));
  const byCategory = Map.groupBy(streams.values(), ({ id }) => categoryOf(id));
  const byRequest = Map.groupBy([...accepted.values()].flat(), ({ correlationId }) => correlationId);
  return {
    streams: [...streams.values()],
    stream: (id) => streams.get(id) ?? { id, accepted: [], states: [undefined] },
    ofCategory: (name) => byCategory.get(name) ?? [],
    madeBy: (attemptId) => byRequest.get(attemptId) ?? [],
  };
}

function fold(id: string, accepted: readonly Accepted[]): Stream {
  const category = categories.find(({ name }) => name === categoryOf(id));
  const states: (Thing | undefined)[] = [undefined];
  for (const { event } of accepted) {
    if (event.type === 'undecodable') break;
    states.push(category?.evolve(states.at(-1), event));
  }
  return { id, accepted, states };
}

/** When the request of each version began; before that nobody can have seen it. */
export function beginnings({ operations }: Pick<History, 'operations'>): Map<string, number> {
  return new Map(operations.flatMap(({ attempts }) => attempts.map(({ id, start }) => [id, start])));
}

/** An attempt as violations name it. */
export function nameOf({ wish, key }: Operation, { id, url, start, end }: Operation['attempts'][number]): string {
  const sent = `${wish.method} ${wish.path} ${id} to ${url}${key === undefined ? '' : ' with a key'}`;
  return `${sent} (${start.toFixed(1)} to ${end.toFixed(1)} ms)`;
}
