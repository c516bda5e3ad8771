import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';

/** The release whose internals the files of this folder rely on. Another one needs them read again. */
export const KAFKAJS_VERSION = '2.2.4';

/** The part of kafkajs's queue of requests that is corrected; one per connection. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  scheduleCheckPendingRequests(): void;
}

const load = createRequire(import.meta.url);
let patched = false;

/** Corrects kafkajs once per process; throws when it is not the release this was written for. */
export function patchKafkajs(): void {
  if (patched) return;
  assertVersion((load('kafkajs/package.json') as { version: string }).version);
  stopIdleTimer((load('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }).prototype);
  addZstd();
  patched = true;
}

export function assertVersion(found: string): void {
  if (found === KAFKAJS_VERSION) return;
  throw new Error(
    `kafkajs is ${found}, but src/log/kafka was written for ${KAFKAJS_VERSION}: read its internals again.`,
  );
}

/**
 * As shipped, an idle connection checks its empty queue a thousand times a second, with a negative timeout that Node 24
 * warns of (kafkajs issues 1704 and 1751).
 */
function stopIdleTimer(queue: RequestQueue): void {
  const schedule = queue.scheduleCheckPendingRequests;
  queue.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) schedule.call(this);
  };
}

/** Other producers may compress; gzip is built in. */
function addZstd(): void {
  const compress = promisify(zstdCompress);
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
    compress: (encoder: { buffer: Buffer }) => compress(encoder.buffer),
    decompress: promisify(zstdDecompress),
  });
}
