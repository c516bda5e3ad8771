import { setTimeout as delay } from 'node:timers/promises';
import { startLoader } from '../load/loader.ts';
import type { Comparison, Figure, Plan } from '../figure.ts';
import { CREATE_ALBUM } from '../requests.ts';
import { type Shape, unflushed } from '../shapes.ts';
import { type Server, startStack } from '../stack.ts';
import { takeTurns } from '../turns.ts';
import { comparisonOf, sampleOf } from '../writes.ts';

const CONNECTIONS = 64;
const WITHOUT = 'without a publisher';
const KEEPS_UP_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 100;

const withPublisher: Shape = { ...unflushed, processes: ['projector', 'publisher', 'api'] };

export const publisher: Figure = {
  name: 'publisher',
  about: 'POST /albums while a publisher writes every accepted event to its published topic',
  method: `Albums are created over ${CONNECTIONS} connections on two installations in turn, of which one has a publisher; the other one is idle
meanwhile. After each turn the figure waits until the publisher has published everything, and fails if that takes more than ${KEEPS_UP_WITHIN_MS / 1_000} seconds.`,
  overHttp: false,
  run: measure,
};

async function measure(plan: Plan): Promise<Comparison[]> {
  const ours = await startStack(withPublisher);
  const without = await startStack(unflushed);
  const loader = startLoader(plan);
  const create = (url: string) =>
    sampleOf(loader.run({ kind: 'http', url, connections: CONNECTIONS, ...CREATE_ALBUM }));
  const publishing = ours.servers.find(({ roles }) => roles === 'publisher');
  try {
    const outcomes = await takeTurns(
      [
        {
          name: 'ours',
          async run() {
            const sample = await create(ours.url);
            return { ...sample, publishedAfterMs: publishing ? await untilPublished(publishing) : NaN };
          },
        },
        { name: WITHOUT, run: () => create(without.url) },
      ],
      plan,
    );
    const asked = [{ limit: WITHOUT, atLeast: 1 / 1.1, from: 'at most 10 % more cost' }];
    return [comparisonOf(`${unflushed.name}, ${CONNECTIONS} connections`, outcomes, 'perSecond', asked)];
  } finally {
    await loader.stop();
    await Promise.all([ours.stop(), without.stop()]);
  }
}

/** The publisher measures its lag once a second. */
const MEASURED_WITHIN_MS = 1_500;

/** Milliseconds until the publisher is known to have no lag any more. */
async function untilPublished({ url }: Server): Promise<number> {
  const start = performance.now();
  await delay(MEASURED_WITHIN_MS);
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const lags = [...text.matchAll(/^openmusic_consumer_lag_records\{[^}]*publisher[^}]*\} (\d+)/gm)].map(([, lag]) =>
      Number(lag),
    );
    const ms = performance.now() - start;
    if (lags.length > 0 && lags.every((lag) => lag === 0)) return ms;
    if (ms > KEEPS_UP_WITHIN_MS) throw new Error(`the publisher does not keep up: ${lags.join(', ')} records wait`);
    await delay(LOOK_EVERY_MS);
  }
}
