import { Readable } from 'node:stream';
import type { StreamEvent } from '../../../event-store/stream-events.ts';
import { decodeEvent } from '../../../events/codec.ts';
import { type JobStatus, evolveStatus, initialStatus } from './job-status.ts';

/** How far the events of a job have been read, and the status they lead to. */
interface JobPosition {
  readonly version: number;
  readonly status: JobStatus;
}

/** The position after the next event. Throws when the event cannot be decoded. */
const advance = ({ status }: JobPosition, { version, type, value }: StreamEvent): JobPosition => ({
  version,
  status: evolveStatus(status, decodeEvent(type, value)),
});

/** One client that follows one job. */
export interface Follower {
  readonly jobId: string;
  readonly stream: Readable;
  /** How far this client's job has been read. It begins before the first event, because the status is folded from all of them. */
  position: JobPosition;
  /** Folds the events that are new to it, and sends those that the client does not have. Throws when one cannot be decoded. */
  deliver(events: readonly StreamEvent[]): void;
  send(text: string): void;
}

/** The clients that follow jobs now. */
export interface Followers {
  readonly size: number;
  all(): Follower[];
  /** Adds a client that has the events up to version `after`. It is removed when its stream closes. */
  add(jobId: string, after: number): Readable;
  /** Removes the client, and ends its stream after what was sent. */
  end(follower: Follower): void;
}

export interface FollowersOptions {
  readonly heartbeatMs?: number;
  /** Bytes that may wait for a client. A client that reads so slowly that more wait is disconnected. */
  readonly queueBytes?: number;
  /** Called when the last client has left. */
  readonly onEmpty: () => void;
}

/** Milliseconds after which a disconnected client reconnects. */
const GREETING = 'retry: 2000\n\n';
/** A comment, so that proxies do not close an idle connection. */
const HEARTBEAT = ':\n\n';

export function createFollowers(options: FollowersOptions): Followers {
  const { heartbeatMs = 15_000, queueBytes = 64 * 1024, onEmpty } = options;
  const followers = new Set<Follower>();
  let heartbeat: NodeJS.Timeout | undefined;

  function beat(): void {
    for (const follower of followers) follower.send(HEARTBEAT);
  }

  function remove(follower: Follower): void {
    followers.delete(follower);
    if (followers.size > 0) return;
    clearInterval(heartbeat);
    heartbeat = undefined;
    onEmpty();
  }

  return {
    get size() {
      return followers.size;
    },
    all: () => [...followers],
    add(jobId, after) {
      const follower = createFollower(jobId, after, queueBytes);
      followers.add(follower);
      follower.stream.once('close', () => remove(follower));
      heartbeat ??= setInterval(beat, heartbeatMs);
      return follower.stream;
    },
    end(follower) {
      remove(follower);
      follower.stream.push(null);
    },
  };
}

function createFollower(jobId: string, after: number, queueBytes: number): Follower {
  const stream = new Readable({ read: () => undefined });
  stream.push(GREETING);
  return {
    jobId,
    stream,
    position: { version: 0, status: initialStatus },
    deliver(events) {
      for (const event of events) {
        if (event.version <= this.position.version) continue;
        this.position = advance(this.position, event);
        if (event.version > after) this.send(messageOf(this.position));
      }
    },
    send(text) {
      stream.push(text);
      if (stream.readableLength > queueBytes) stream.destroy(new Error('The client reads too slowly.'));
    },
  };
}

const messageOf = ({ version, status }: JobPosition): string =>
  `id: ${version}\nevent: state\ndata: ${JSON.stringify(status)}\n\n`;
