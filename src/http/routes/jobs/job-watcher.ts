import { Readable } from 'node:stream';
import { decodeEvent } from '../../../events/codec.ts';
import { eventsAfter, type StreamEvent } from '../../../event-store/stream-events.ts';
import type { Database } from '../../../postgres/pool.ts';
import { isOver } from '../../../projections/jobs.ts';
import { type JobStatus, evolveStatus, initialStatus } from './job-status.ts';

/** Tells clients what happens to jobs, as server-sent events. One look at the database serves them all. */
export interface JobWatcher {
  /** What happened to the job after that version of it, and all that happens until it is over. */
  watch(jobId: string, after: number): Readable;
  /** Ends one that `watch` has returned, after what it was told. */
  end(stream: Readable): void;
  /** Ends all that it tells. */
  stop(): void;
}

export interface JobWatcherOptions {
  readonly database: Pick<Database, 'query'>;
  /** Calls back when something was committed; returns what ends that. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Looks no seldomer, whether or not there was word. */
  readonly lookEveryMs?: number;
  /** Looks no oftener, however often there is word. */
  readonly restMs?: number;
  readonly heartbeatMs?: number;
  /** What may wait for a client that reads slowly. */
  readonly queueBytes?: number;
}

interface Listener {
  readonly jobId: string;
  /** Hears only of what came after. */
  readonly after: number;
  /** As far as its story was told. */
  version: number;
  moment: JobStatus;
  readonly stream: Readable;
}

/** Of one job in one look: none keeps the others waiting. */
const EVENTS_AT_ONCE = 200;

/** A client that was cut off comes back after so many milliseconds. */
const GREETING = 'retry: 2000\n\n';
/** Keeps proxies from thinking that nobody is there. */
const HEARTBEAT = ':\n\n';

export function createJobWatcher({
  database,
  subscribe,
  lookEveryMs = 500,
  restMs = 50,
  heartbeatMs = 15_000,
  queueBytes = 64 * 1024,
}: JobWatcherOptions): JobWatcher {
  const listeners = new Set<Listener>();
  const looks = schedule(look, restMs);
  let heartbeat: NodeJS.Timeout | undefined;
  let stopped = false;
  const unsubscribe = subscribe(() => {
    if (listeners.size > 0) looks.soon();
  });

  async function look(): Promise<void> {
    if (listeners.size === 0) return;
    const asked = [...listeners];
    // Without an answer everybody waits for the next look.
    const rows = await eventsAfter(database, versionsOf(asked), EVENTS_AT_ONCE).catch(() => []);
    const stories = Map.groupBy(rows, ({ stream }) => stream);
    const full = asked.filter((listener) => hear(listener, stories.get(listener.jobId) ?? []));
    if (listeners.size > 0) looks.within(full.length > 0 ? 0 : lookEveryMs);
  }

  /** Returns whether there is more to hear at once. */
  function hear(listener: Listener, rows: readonly StreamEvent[]): boolean {
    try {
      for (const row of rows) if (row.version > listener.version) hearEvent(listener, row);
    } catch (error) {
      listener.stream.destroy(error as Error); // an event that nobody can read
      return false;
    }
    const more = rows.length === EVENTS_AT_ONCE;
    if (!more && isOver(listener.moment.state)) end(listener);
    return more;
  }

  function hearEvent(listener: Listener, { version, type, value }: StreamEvent): void {
    listener.version = version;
    listener.moment = evolveStatus(listener.moment, decodeEvent(type, value));
    if (version > listener.after) say(listener, messageOf(version, listener.moment));
  }

  function say({ stream }: Listener, text: string): void {
    stream.push(text);
    if (stream.readableLength > queueBytes) stream.destroy(new Error('The client reads too slowly.'));
  }

  function beat(): void {
    for (const listener of listeners) say(listener, HEARTBEAT);
  }

  function end(listener: Listener): void {
    leave(listener);
    listener.stream.push(null);
  }

  function leave(listener: Listener): void {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    looks.never();
    clearInterval(heartbeat);
    heartbeat = undefined;
  }

  return {
    watch(jobId, after) {
      const stream = new Readable({ read: () => undefined });
      stream.push(stopped ? null : GREETING);
      if (stopped) return stream;
      const listener: Listener = { jobId, after, version: 0, moment: initialStatus, stream };
      listeners.add(listener);
      stream.once('close', () => leave(listener));
      heartbeat ??= setInterval(beat, heartbeatMs);
      looks.soon();
      return stream;
    },
    end(stream) {
      for (const listener of listeners) if (listener.stream === stream) end(listener);
    },
    stop() {
      stopped = true;
      unsubscribe();
      for (const listener of [...listeners]) end(listener);
    },
  };
}

/** Each job once, from where the last of its listeners stands. */
function versionsOf(listeners: readonly Listener[]): ReadonlyMap<string, number> {
  const from = new Map<string, number>();
  for (const { jobId, version } of listeners) from.set(jobId, Math.min(version, from.get(jobId) ?? version));
  return from;
}

const messageOf = (version: number, moment: JobStatus): string =>
  `id: ${version}\nevent: state\ndata: ${JSON.stringify(moment)}\n\n`;

/** Runs `work` when it is asked to, never twice at once, and not again before it has rested. */
function schedule(work: () => Promise<void>, restMs: number) {
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Infinity;
  let working = false;
  let restedAt = 0;

  function within(ms: number): void {
    const at = Math.max(performance.now() + ms, restedAt);
    if (at >= dueAt) return;
    clearTimeout(timer);
    dueAt = at;
    if (!working) arm();
  }

  function arm(): void {
    if (dueAt < Infinity) timer = setTimeout(() => void run(), Math.max(0, dueAt - performance.now()));
  }

  async function run(): Promise<void> {
    dueAt = Infinity;
    working = true;
    await work();
    working = false;
    restedAt = performance.now() + restMs;
    dueAt = Math.max(dueAt, restedAt);
    arm();
  }

  return {
    within,
    soon: () => within(0),
    never() {
      clearTimeout(timer);
      dueAt = Infinity;
    },
  };
}
