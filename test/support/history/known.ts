import { categoryNamed } from './categories.ts';
import { type Known, versionOf } from './category.ts';
import type { Operation } from './history.ts';

/** What all clients together have learnt so far. */
export interface Learning extends Known {
  from(operation: Operation): void;
}

export function createLearning(): Learning {
  const ids = new Map<string, string[]>();
  const versions = new Map<string, number>();
  const idsOf = (category: string): string[] => {
    const list = ids.get(category) ?? [];
    ids.set(category, list);
    return list;
  };
  return {
    ids: idsOf,
    version: (id) => versions.get(id),
    from({ wish, attempts }) {
      const outcome = attempts.find((each) => each.outcome.kind === 'ok')?.outcome;
      if (outcome?.kind !== 'ok') return;
      const created = wish.method === 'POST' ? categoryNamed(wish.category).created(outcome.body) : undefined;
      if (created !== undefined) idsOf(wish.category).push(created);
      const version = versionOf(outcome.etag);
      const [, id] = /\/([^/?]+)$/.exec(wish.path) ?? [];
      if (version !== undefined && id !== undefined) versions.set(id, version);
    },
  };
}
