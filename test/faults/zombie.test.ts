import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { describeDistributed, type Distributed, seedOfRun, startDistributed } from '../support/distributed.ts';
import { checkServed, recordHistory } from '../support/history/index.ts';
import { eventually } from '../support/observed.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';

const MORE = { writes: 30, reads: 30 };
/** More commits than a start alone makes. */
const FIRST = 20;
const CHOICES = 60;

const settings = { VERDICT_WAIT_SECONDS: '1' };

describeDistributed('a projector that is frozen before a commit for longer than its session', () => {
  let system: Distributed;
  beforeAll(async () => {
    system = await startDistributed({ apis: 0, projectors: 0, env: settings });
  });
  afterAll(() => system.stop());

  it('writes nothing and judges nothing wrong when it resumes after its replacement has worked and died', async () => {
    const seed = seedOfRun();
    const fault = `before-commit:${FIRST + (seed % CHOICES)}:SIGSTOP`;
    process.stdout.write(`SEED=${seed}: ${fault}\n`);
    const [zombie, api] = await Promise.all([
      system.startProjector({ FAULT: fault }, 'test/support/faulty-main.ts'),
      system.startApi(),
    ]);
    const history = await recordHistory({ urls: [api.url], seed }, async (load) => {
      await eventually('the projector has stopped', zombie.isFrozen, 60_000);
      const successor = await system.startProjector();
      await load.served(MORE, 60_000);
      await successor.end('SIGKILL');
      const steps = await watchCheckpoints(system, async () => {
        zombie.thaw();
        await load.served(MORE, 60_000);
      });
      expect(steps.filter(({ to, from }) => to < from)).toEqual([]);
      expect(steps.length).toBeGreaterThan(0);
    });
    expect(await checkServed(history, { env: system.env, urls: [api.url] })).toEqual([]);
  }, 120_000);
});

interface Step {
  readonly partition: string;
  readonly from: number;
  readonly to: number;
}

/** Every change of a checkpoint that is visible during the work. */
async function watchCheckpoints({ connection, namespace }: Distributed, work: () => Promise<void>): Promise<Step[]> {
  const client = new pg.Client(connection);
  await client.connect();
  const text = `SELECT topic || '/' || partition AS partition, next::int FROM ${namespace}_read_${READ_VERSION}_1.checkpoints`;
  const steps: Step[] = [];
  const last = new Map<string, number>();
  const look = async () => {
    for (const { partition, next } of (await client.query<{ partition: string; next: number }>(text)).rows) {
      const from = last.get(partition) ?? next;
      if (next !== from) steps.push({ partition, from, to: next });
      last.set(partition, next);
    }
  };
  await look();
  let watching = true;
  const watch = async () => {
    while (watching) {
      await look();
      await delay(20);
    }
  };
  const watched = watch();
  await work().finally(async () => {
    watching = false;
    await watched;
    await client.end();
  });
  return steps;
}
