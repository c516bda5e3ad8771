import type { Config } from '../config.ts';
import { type CommitNotice, noticesOf } from '../events/commit-notice.ts';
import { createNotifier } from '../postgres/listen.ts';
import type { Resources } from '../resources.ts';

/** How the projector tells the waiting handlers what it has committed: in process, and by NOTIFY to other processes. */
export interface Commits {
  /** Tells every process of a commit of this process' own projector. */
  announce(notice: CommitNotice): void;
  /** Tells this process of a commit, of its own projector or of another one. */
  onCommit(notice: CommitNotice): void;
  /** Calls back with every notice until the returned function is called. */
  subscribe(listener: (notice: CommitNotice) => void): () => void;
}

/** The channel of Postgres on which notices are sent to other processes. */
export const channelOf = ({ NAMESPACE }: Config) => `${NAMESPACE} commits`;

export function createCommits({ admin }: Resources, config: Config): Commits {
  const notify = config.KAFKA_BROKERS ? createNotifier(admin, channelOf(config)) : undefined;
  const listeners = new Set<(notice: CommitNotice) => void>();
  const onCommit = (notice: CommitNotice) => {
    for (const listener of listeners) listener(notice);
  };
  return {
    onCommit,
    announce(notice) {
      onCommit(notice);
      notify?.(noticesOf(notice));
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
