import { categoryNamed } from './categories.ts';
import { type Known, versionOf } from './category.ts';
import type { Operation, Person } from './history.ts';

/** The facts that all clients together have learnt so far. */
export interface Learning extends Known {
  from(operation: Operation): void;
}

export function createLearning(people: readonly Person[]): Learning {
  const ids = new Map<string, string[]>();
  const versions = new Map<string, number>();
  const makers = new Map<string, Person>();
  const sent = new Map<string, Readonly<Record<string, unknown>>>();
  const idsOf = (category: string): string[] => {
    const list = ids.get(category) ?? [];
    ids.set(category, list);
    return list;
  };
  return {
    ids: idsOf,
    version: (id) => versions.get(id),
    sent: (id) => sent.get(id) ?? {},
    people,
    maker: (id) => makers.get(id),
    from({ wish, attempts }) {
      const outcome = attempts.find((each) => each.outcome.kind === 'ok')?.outcome;
      if (outcome?.kind !== 'ok') return;
      const created = wish.method === 'POST' ? categoryNamed(wish.category).created(outcome.body) : undefined;
      if (created !== undefined) idsOf(wish.category).push(created);
      if (created !== undefined && wish.as) makers.set(created, wish.as);
      const changed = wish.effect?.stream;
      if (changed !== undefined) sent.set(changed, { ...sent.get(changed), ...wish.json });
      const version = versionOf(outcome.etag);
      const [, id] = /\/(\w+-[^/?]+)/.exec(wish.path) ?? [];
      if (version !== undefined && id !== undefined) versions.set(id, version);
    },
  };
}
