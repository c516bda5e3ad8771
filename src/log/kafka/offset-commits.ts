import { partitionKey, type Position } from '../../events/record.ts';

/**
 * Tells the group how far the handler has come, now and then: nothing of ours reads it, people and their tools do.
 * The handler's own checkpoint counts.
 */
export interface OffsetCommits {
  note(position: Position): void;
  /** After a join others may be further. */
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
