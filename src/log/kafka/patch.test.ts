import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { RETRY } from './client.ts';
import { assertVersion, KAFKAJS_VERSION, patchKafkajs } from './patch.ts';

const load = createRequire(import.meta.url);

interface Queue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: unknown;
  scheduleCheckPendingRequests(): void;
  destroy(): void;
}

interface Coordinators {
  findGroupCoordinatorMetadata(group: object): Promise<unknown>;
}

describe('the patched kafkajs', () => {
  patchKafkajs();
  const RequestQueue = load('kafkajs/src/network/requestQueue') as new (options: object) => Queue;

  function timerOf(change: Partial<Queue>): boolean {
    const queue = Object.assign(new RequestQueue({}), change);
    queue.scheduleCheckPendingRequests();
    const running = queue.throttleCheckTimeoutId !== null;
    queue.destroy();
    return running;
  }

  it('has no timer while no request waits', () => {
    expect(timerOf({})).toBe(false);
  });

  it('has a timer while a request waits, or the broker throttles', () => {
    expect(timerOf({ pending: [{}] })).toBe(true);
    expect(timerOf({ throttledUntil: Date.now() + 1000 })).toBe(true);
  });

  it('restarts a consumer when no broker names the coordinator of its group', async () => {
    const Cluster = load('kafkajs/src/cluster') as { prototype: Coordinators };
    const cluster = Object.assign(Object.create(Cluster.prototype) as Coordinators, {
      brokerPool: { withBroker: () => Promise.resolve(null) },
    });
    await expect(cluster.findGroupCoordinatorMetadata({ groupId: 'g' })).rejects.toMatchObject({
      name: 'KafkaJSGroupCoordinatorNotFound',
      retriable: true,
    });
  });

  it('is the version that the patch is for', () => {
    expect(() => assertVersion(KAFKAJS_VERSION)).not.toThrow();
    expect(() => assertVersion('2.3.0')).toThrow('kafkajs is 2.3.0');
  });

  it('takes none of its retry settings from NODE_ENV', () => {
    const defaults = load('kafkajs/src/retry/defaults') as object;
    expect(Object.keys(RETRY).sort()).toEqual(Object.keys(defaults).sort());
  });
});
