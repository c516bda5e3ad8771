import { createRequire } from 'node:module';
import { decodeFetchResponse, FETCH_VERSION, type FetchedFrom } from './fetch-response.ts';

/** The release whose internals the files of this folder rely on. Another one needs them read again. */
export const KAFKAJS_VERSION = '2.2.4';

/** The part of kafkajs's queue of requests that is corrected; one per connection. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  scheduleCheckPendingRequests(): void;
}

/** How kafkajs makes a request of one kind and reads its response. */
interface RequestKind {
  protocol(
    this: void,
    of: { version: number },
  ): (request: FetchedFrom) => { request: object; response: ResponseReader };
}

interface ResponseReader {
  decode(this: void, bytes: Buffer): Promise<unknown>;
  /** Throws what the broker answered with. */
  parse(this: void, decoded: unknown): Promise<unknown>;
}

const load = createRequire(import.meta.url);
let patched = false;

/** Corrects kafkajs once per process; throws when it is not the release this was written for. */
export function patchKafkajs(): void {
  if (patched) return;
  assertVersion((load('kafkajs/package.json') as { version: string }).version);
  stopIdleTimer((load('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }).prototype);
  decodeFetches(load('kafkajs/src/protocol/requests/fetch') as RequestKind);
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

/** Fetched batches are unpacked by our own code, which keeps what kafkajs hides and survives what it cannot read. */
function decodeFetches(fetch: RequestKind): void {
  const { protocol } = fetch;
  fetch.protocol = ({ version }) => {
    if (version !== FETCH_VERSION) throw new Error(`the broker is too old: it speaks version ${version} of fetch`);
    const create = protocol({ version });
    return (request) => {
      const kind = create(request);
      return { ...kind, response: { ...kind.response, decode: (bytes) => decodeFetchResponse(bytes, request) } };
    };
  };
}
