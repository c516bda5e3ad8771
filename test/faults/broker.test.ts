import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { checkServed, type Operation, recordHistory, type Violation } from '../support/history/index.ts';
import { type NativeKafka, startNativeKafka } from '../support/servers/index.ts';

const FROZEN_MS = 20_000;

describeDistributed('no acknowledged write is lost, and service resumes by itself,', () => {
  let broker: NativeKafka;
  let music: Distributed;
  let urls: string[];

  /** The operations of all tests so far: they share one log. */
  const operations: Operation[] = [];

  beforeAll(async () => {
    broker = await startNativeKafka();
    music = await startDistributed({ apis: 2, brokers: broker.brokers });
    urls = music.apis.map(({ url }) => url);
  }, 120_000);

  afterAll(async () => {
    await music.stop();
    await broker.stop();
  });

  /** Takes the broker away from clients that write and read, and brings it back. */
  async function without(take: () => Promise<void>, give: () => Promise<void>, since: string): Promise<Violation[]> {
    const history = await recordHistory({ urls }, async (load) => {
      await load.served({ writes: 30, reads: 30 });
      await take();
      await load.served({ writes: 0, reads: 20 });
      await give();
      report(since, await load.served({ writes: 1, reads: 1 }));
      await load.served({ writes: 30, reads: 30 });
    });
    operations.push(...history.operations);
    return checkServed({ ...history, operations }, { env: music.env, urls });
  }

  it('when the broker is killed -9 and started again', async () => {
    expect(await without(broker.kill, broker.restart, 'the broker is back')).toEqual([]);
  }, 180_000);

  it('when the broker is frozen for 20 s', async () => {
    const freeze = async () => {
      await broker.freeze();
      await delay(FROZEN_MS); // the fault itself
    };
    expect(await without(freeze, broker.thaw, 'the broker goes on')).toEqual([]);
  }, 180_000);
});

const report = (since: string, ms: number) =>
  process.stdout.write(`every process takes writes ${Math.round(ms)} ms after ${since}\n`);
