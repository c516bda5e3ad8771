import type { Attempt } from './history.ts';
import type { Stream, World } from './world.ts';

/** The range of versions of a stream that an answer may show. */
interface Window {
  readonly stream: Stream;
  readonly lowest: number;
  readonly highest: number;
  /** The answer that gave `lowest`. */
  readonly since: (() => string) | undefined;
}

/** What is known at each moment, to any client. */
export interface KnownVersions {
  window(stream: string, attempt: Attempt): Window;
  /** At that moment a client had an answer with at least that version. */
  note(stream: string, at: number, version: number, by: () => string): void;
}

interface Note {
  readonly at: number;
  readonly version: number;
  readonly by: () => string;
}

export interface KnownBefore {
  /** A read that begins after it must show the last versions. */
  readonly settledAt?: number;
  /** Versions that a client was shown before the first answer. */
  readonly before?: { readonly versions: ReadonlyMap<string, number>; readonly at: number };
}

/** Answers must be added in the order in which they ended. */
export function createKnownVersions(
  world: World,
  began: ReadonlyMap<string, number>,
  { settledAt = Infinity, before }: KnownBefore,
): KnownVersions {
  /** By stream; both times and versions increase. */
  const notes = new Map<string, Note[]>();
  for (const [stream, version] of before?.versions ?? []) {
    notes.set(stream, [{ at: before?.at ?? 0, version, by: () => 'an earlier check' }]);
  }
  /** By stream, when the request of each version from 1 began. */
  const births = new Map<Stream, number[]>();
  const birthsOf = (stream: Stream): number[] => {
    const found = births.get(stream) ?? stream.accepted.map(({ correlationId }) => began.get(correlationId) ?? 0);
    births.set(stream, found);
    return found;
  };
  return {
    window(id, { start, end }) {
      const stream = world.stream(id);
      if (start > settledAt) {
        const version = stream.states.length - 1;
        return { stream, lowest: version, highest: version, since: () => 'the end of the log' };
      }
      const last = notes.get(id)?.findLast(({ at }) => at < start);
      const unborn = birthsOf(stream).findIndex((birth) => birth > end);
      const highest = Math.min(stream.states.length - 1, unborn < 0 ? Infinity : unborn);
      return { stream, lowest: last?.version ?? 0, highest, since: last?.by };
    },
    note(id, at, version, by) {
      const list = notes.get(id) ?? [];
      if (version <= (list.at(-1)?.version ?? 0)) return;
      list.push({ at, version, by });
      notes.set(id, list);
    },
  };
}
