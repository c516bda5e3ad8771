import {
  type History,
  type Load,
  recordHistory,
  type RecordOptions,
  type ServedOptions,
  startChecking,
  type Violation,
} from './history/index.ts';

/** Records the histories of one log one after the other, and checks each. */
export interface Recorder {
  record(options: Omit<RecordOptions, 'urls'>, during: (load: Load) => Promise<void>): Promise<History>;
  /** The seed of the last recorded history. */
  check(history: History): Promise<Violation[]>;
  /** Whether the log has changes of no checked history, because a test failed in between. */
  readonly isBehind: boolean;
}

export function startRecorder(served: ServedOptions): Recorder {
  const check = startChecking(served);
  let isBehind = false;
  return {
    record(options, during) {
      isBehind = true;
      return recordHistory({ ...options, urls: served.urls }, during);
    },
    async check(history) {
      const violations = await check(history);
      isBehind = false;
      return violations;
    },
    get isBehind() {
      return isBehind;
    },
  };
}
