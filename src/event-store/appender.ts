import { AppError } from '../errors.ts';
import type { Append, EventLog } from '../log/event-log.ts';

export interface AppenderLimits {
  /** Requests in flight at once. */
  readonly inFlight: number;
  /** Most records of one request. */
  readonly records: number;
  /** Most bytes of one partition in one request; one byte more fails the whole request. */
  readonly partitionBytes: number;
}

const defaultLimits: AppenderLimits = { inFlight: 2, records: 500, partitionBytes: 512_000 };

export interface Appender {
  /** Resolves when the record is acknowledged; rejects with an AppendError, or an AppError when it is too large. */
  append(append: Append): Promise<void>;
}

interface Waiting {
  readonly append: Append;
  readonly bytes: number;
  readonly done: PromiseWithResolvers<void>;
}

/** Sends immediately while fewer than `inFlight` requests are in flight. Records that queue meanwhile leave in one request. */
export function createAppender(log: Pick<EventLog, 'append'>, limits = defaultLimits): Appender {
  let queue: Waiting[] = [];
  let inFlight = 0;

  function pump(): void {
    while (queue.length > 0 && inFlight < limits.inFlight) {
      const { batch, rest } = takeBatch(queue, limits);
      queue = rest;
      inFlight++;
      void send(batch);
    }
  }

  async function send(batch: readonly Waiting[]): Promise<void> {
    try {
      await log.append(batch.map(({ append }) => append));
      for (const { done } of batch) done.resolve();
    } catch (error) {
      for (const { done } of batch) done.reject(error);
    } finally {
      inFlight--;
      pump();
    }
  }

  return {
    append(append) {
      const bytes = sizeOf(append);
      if (bytes > limits.partitionBytes) {
        const message = `The event takes ${bytes} bytes; at most ${limits.partitionBytes} are allowed.`;
        return Promise.reject(new AppError('too-large', 'EVENT_TOO_LARGE', message));
      }
      const done = Promise.withResolvers<void>();
      queue.push({ append, bytes, done });
      pump();
      return done.promise;
    },
  };
}

/** The first records of the queue that fit one request. The others keep their order. */
function takeBatch(queue: readonly Waiting[], limits: AppenderLimits): { batch: Waiting[]; rest: Waiting[] } {
  const bytesOf = new Map<string, number>();
  const batch: Waiting[] = [];
  const rest: Waiting[] = [];
  for (const waiting of queue) {
    const { topic, partition } = waiting.append;
    const key = `${topic}/${partition}`;
    const bytes = (bytesOf.get(key) ?? 0) + waiting.bytes;
    if (batch.length < limits.records && bytes <= limits.partitionBytes) {
      bytesOf.set(key, bytes);
      batch.push(waiting);
    } else {
      bytesOf.set(key, Infinity); // later records of this partition wait behind it
      rest.push(waiting);
    }
  }
  return { batch, rest };
}

const OVERHEAD = 64;

/** Bytes of the record in a batch, rounded up. */
function sizeOf({ record }: Append): number {
  let bytes = OVERHEAD + Buffer.byteLength(record.key) + record.value.length;
  for (const [name, value] of Object.entries(record.headers)) bytes += name.length + Buffer.byteLength(value) + 4;
  return bytes;
}
