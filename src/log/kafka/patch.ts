import { createRequire } from 'node:module';
import { decodeFetchResponse, FETCH_VERSION, type FetchedFrom } from './fetch-response.ts';

/** The release on whose internals the files of this folder rely. For another one they must be checked again. */
export const KAFKAJS_VERSION = '2.2.4';

/** The part of kafkajs's request queue that is patched. There is one queue per connection. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  scheduleCheckPendingRequests(): void;
}

/** How kafkajs creates a request of one kind and reads its response. */
interface RequestKind {
  protocol(
    this: void,
    of: { version: number },
  ): (request: FetchedFrom) => { request: object; response: ResponseReader };
}

interface ResponseReader {
  decode(this: void, bytes: Buffer): Promise<unknown>;
  /** Throws the broker's error. */
  parse(this: void, decoded: unknown): Promise<unknown>;
}

/** The part of kafkajs's cluster that is patched. */
interface Cluster {
  findGroupCoordinatorMetadata(group: object): Promise<unknown>;
}

const load = createRequire(import.meta.url);
let patched = false;

/** Patches kafkajs once per process. Throws when it is another release than the one this was written for. */
export function patchKafkajs(): void {
  if (patched) return;
  assertVersion((load('kafkajs/package.json') as { version: string }).version);
  stopIdleTimer((load('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }).prototype);
  decodeFetches(load('kafkajs/src/protocol/requests/fetch') as RequestKind);
  retryCoordinator((load('kafkajs/src/cluster') as { prototype: Cluster }).prototype);
  patched = true;
}

export function assertVersion(found: string): void {
  if (found === KAFKAJS_VERSION) return;
  throw new Error(
    `kafkajs is ${found}, but src/log/kafka was written for ${KAFKAJS_VERSION}: check the internals again.`,
  );
}

/**
 * Without the patch an idle connection checks its empty queue a thousand times a second, with a negative timeout about which Node 24
 * warns (kafkajs issues 1704 and 1751).
 */
function stopIdleTimer(queue: RequestQueue): void {
  const schedule = queue.scheduleCheckPendingRequests;
  queue.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) schedule.call(this);
  };
}

/** Our own code unpacks fetched batches. It keeps what kafkajs drops, and survives a batch that kafkajs cannot read. */
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

/**
 * Without the patch a consumer ends for good when no broker names the coordinator of its group. That passes: brokers that start are
 * still loading their groups, or close a connection.
 */
function retryCoordinator(cluster: Cluster): void {
  const find = cluster.findGroupCoordinatorMetadata;
  cluster.findGroupCoordinatorMetadata = async function (this: Cluster, group) {
    try {
      return await find.call(this, group);
    } catch (error) {
      if (error instanceof Error && error.name === 'KafkaJSGroupCoordinatorNotFound')
        Object.assign(error, { retriable: true });
      throw error;
    }
  };
}
