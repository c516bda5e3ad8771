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
    from({ request, attempts }) {
      const outcome = attempts.find((each) => each.outcome.kind === 'ok')?.outcome;
      if (outcome?.kind !== 'ok') return;
      const created = request.method === 'POST' ? categoryNamed(request.category).created(outcome.body) : undefined;
      if (created !== undefined) idsOf(request.category).push(created);
      if (created !== undefined && request.as) makers.set(created, request.as);
      const changed = request.effect?.stream;
      if (changed !== undefined) sent.set(changed, { ...sent.get(changed), ...request.json });
      const version = versionOf(outcome.etag);
      const [, id] = /\/(\w+-[^/?]+)/.exec(request.path) ?? [];
      if (version !== undefined && id !== undefined) versions.set(id, version);
    },
  };
}
