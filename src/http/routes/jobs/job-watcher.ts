import { Readable } from 'node:stream';
import { eventsAfter, type StreamEvent } from '../../../event-store/stream-events.ts';
import type { Database } from '../../../postgres/pool.ts';
import { isOver } from '../../../projections/jobs.ts';
import { createFollowers, type Follower, type Followers, type FollowersOptions } from './job-followers.ts';
import { createPollTimer } from './poll-timer.ts';

/** Sends clients the events of jobs as server-sent events. One query serves all clients. */
export interface JobWatcher {
  /** Sends the events of the job after that version, and those that follow, until the job is over. */
  watch(jobId: string, after: number): Readable;
  /** Ends a stream that `watch` returned, after what was sent. */
  end(stream: Readable): void;
  /** Ends all streams. */
  stop(): void;
}

export interface JobWatcherOptions extends Omit<FollowersOptions, 'onEmpty'> {
  readonly database: Pick<Database, 'query'>;
  /** Calls the listener after each commit. Returns a function that unsubscribes. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Longest time between two polls, with or without commit notices. */
  readonly pollEveryMs?: number;
  /** Shortest pause between two polls, however many commit notices come. */
  readonly restMs?: number;
}

/** Events of one job that one poll reads, so that a long history does not delay the other jobs. */
const EVENTS_PER_POLL = 200;

export function createJobWatcher(options: JobWatcherOptions): JobWatcher {
  const { database, subscribe, pollEveryMs = 500, restMs = 50, ...limits } = options;
  const polls = createPollTimer(poll, restMs);
  const followers = createFollowers({ ...limits, onEmpty: polls.cancel });
  let stopped = false;
  const unsubscribe = subscribe(() => {
    if (followers.size > 0) polls.within(0);
  });

  async function poll(): Promise<void> {
    const asked = followers.all();
    if (asked.length === 0) return;
    // After a failed query all clients wait for the next poll.
    const rows = await eventsAfter(database, versionsOf(asked), EVENTS_PER_POLL).catch(() => []);
    const events = Map.groupBy(rows, ({ stream }) => stream);
    const behind = asked.filter((follower) => deliver(followers, follower, events.get(follower.jobId) ?? []));
    if (followers.size > 0) polls.within(behind.length > 0 ? 0 : pollEveryMs);
  }

  return {
    watch(jobId, after) {
      if (stopped) return Readable.from([]);
      const stream = followers.add(jobId, after);
      polls.within(0);
      return stream;
    },
    end(stream) {
      for (const follower of followers.all()) if (follower.stream === stream) followers.end(follower);
    },
    stop() {
      stopped = true;
      unsubscribe();
      for (const follower of followers.all()) followers.end(follower);
    },
  };
}

/** Sends one client what was read for it. Returns whether more events can be read at once. */
function deliver(followers: Followers, follower: Follower, rows: readonly StreamEvent[]): boolean {
  try {
    follower.deliver(rows);
  } catch (error) {
    follower.stream.destroy(error as Error); // an event cannot be decoded
    return false;
  }
  const isMore = rows.length === EVENTS_PER_POLL;
  if (!isMore && isOver(follower.position.status.state)) followers.end(follower);
  return isMore;
}

/** Each job once, from the earliest position of its followers. */
function versionsOf(followers: readonly Follower[]): ReadonlyMap<string, number> {
  const from = new Map<string, number>();
  for (const { jobId, position } of followers)
    from.set(jobId, Math.min(position.version, from.get(jobId) ?? position.version));
  return from;
}
