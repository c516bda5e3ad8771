import { startBare } from '../bare.ts';
import type { Comparison, Figure, Plan } from '../figure.ts';
import { CREATE_ALBUM } from '../requests.ts';
import { openServedGeneration } from '../served-generation.ts';
import { embedded } from '../shapes.ts';
import { startLoader } from '../load/loader.ts';
import { startStack } from '../stack.ts';
import { seriesOf, takeTurns } from '../turns.ts';
import { KEYS } from '../../test/support/keys.ts';
import { forge, now } from '../../test/support/tokens.ts';

const BARE = 'bare route that streams a SELECT';
const CONNECTIONS = 64;
const NEW_LINE = 10;
/** Loads of the plan's length that make the events. */
const LOADS = 4;

export const eventsFeed: Figure = {
  name: 'events-feed',
  about: 'GET /events as NDJSON, from the first event to the last',
  method: `Albums are created over ${CONNECTIONS} connections. Then one client reads all their events by *GET /events*, and the same rows from
*${BARE}*: a Fastify server that reads pages of 1,000 rows by the index of position and sends each row as a line of JSON, with the value of the log in
base64. The product decodes Avro and makes CloudEvents of the same rows.`,
  overHttp: false,
  run: measure,
};

async function measure(plan: Plan): Promise<Comparison[]> {
  const stack = await startStack(embedded);
  const loader = startLoader(plan);
  try {
    for (let load = 0; load < LOADS; load++) {
      await loader.run({ kind: 'http', url: stack.url, connections: CONNECTIONS, ...CREATE_ALBUM });
    }
    const generation = await openServedGeneration(stack.connection);
    await generation.client.query(`VACUUM (ANALYZE) "${generation.schema}".stream_events`);
    const { schema } = generation;
    await generation.close();
    const bare = await startBare({ rows: { connection: stack.connection, schema } });
    const outcomes = await takeTurns(
      [
        { name: 'ours', run: () => readLines(`${stack.url}/events?category=catalog`) },
        { name: BARE, run: () => readLines(`${bare.url}/rows`) },
      ],
      plan,
    ).finally(() => bare.stop());
    const [ours, ...limits] = outcomes.map((outcome) => seriesOf(outcome, 'perSecond'));
    const asked = [{ limit: BARE, atLeast: 0.7 }];
    return ours ? [{ title: 'embedded, events', unit: '/s', ours, limits, asked, notes: [] }] : [];
  } finally {
    await Promise.all([loader.stop(), stack.stop()]);
  }
}

/** Reads an answer to its end, and counts its lines. */
async function readLines(url: string): Promise<{ perSecond: number; lines: number }> {
  const start = performance.now();
  // Without the header fetch asks for gzip, which the bare route does not do.
  const headers = { authorization: `Bearer ${token()}`, 'accept-encoding': 'identity' };
  const answer = await fetch(url, { headers });
  let lines = 0;
  const chunks: AsyncIterable<Uint8Array> | undefined = answer.body ?? undefined;
  for await (const chunk of chunks ?? []) {
    for (let at = chunk.indexOf(NEW_LINE); at >= 0; at = chunk.indexOf(NEW_LINE, at + 1)) lines++;
  }
  if (answer.status !== 200 || lines === 0) throw new Error(`${url} answered ${answer.status} with ${lines} lines`);
  return { perSecond: lines / ((performance.now() - start) / 1_000), lines };
}

const token = () =>
  forge(
    { sub: 'bench', role: 'analytics', jti: 'bench', aud: 'access', iat: now(), exp: now() + 600 },
    KEYS.ACCESS_TOKEN_KEY,
  );
