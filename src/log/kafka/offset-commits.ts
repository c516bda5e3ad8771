import { partitionKey, type Position } from '../../events/record.ts';

/**
 * Commits the handler's offsets to the group about once a second, for people and their tools. No code of ours reads them, because the
 * handler's own checkpoint decides.
 */
export interface OffsetCommits {
  note(position: Position): void;
  /** To be called after a join, because other members may be further. */
  forget(): void;
  flush(): Promise<void>;
}

export function createOffsetCommits(commit: (positions: Position[]) => Promise<void>, everyMs = 1_000): OffsetCommits {
  const reached = new Map<string, Position>();
  let timer: NodeJS.Timeout | undefined;

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const positions = [...reached.values()];
    reached.clear();
    if (positions.length > 0) await commit(positions).catch(() => undefined);
  }

  return {
    note(position) {
      reached.set(partitionKey(position), position);
      timer ??= setTimeout(() => void flush(), everyMs).unref();
    },
    forget: () => reached.clear(),
    flush,
  };
}
