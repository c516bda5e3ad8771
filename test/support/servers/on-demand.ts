import type { PostgresConnection } from '../../../src/postgres/connection.ts';
import { startApp } from '../app.ts';
import { secretsIn } from '../logged-secrets.ts';
import { dropTemplate, prepareTemplate } from './database.ts';
import { answerDemands } from './demand.ts';
import { kafka, postgres, redis, type Started } from './kinds.ts';
import { offer, type Offer } from './offer.ts';
import type { AppAddress, PostgresAddress, Servers, Skip } from './types.ts';

type Log = (line: string) => void;
type Stop = () => Promise<void>;

/**
 * Offers every server of the tests. Each starts once, when a test file first demands it. `stop` ends the started ones, in
 * reverse order.
 */
export async function offerServers(log: Log): Promise<{ servers: Servers; stop: Stop }> {
  const offers = await Promise.all([offer(kafka, log), offer(redis, log), offer(postgres, log)]);
  const [kafkaOffer, redisOffer, postgresOffer] = offers;
  if ('skip' in postgresOffer) throw new Error(`No Postgres for the tests: ${postgresOffer.skip}`);
  const demands = await answerDemands({
    kafka: () => startOf(kafkaOffer),
    redis: () => startOf(redisOffer),
    postgres: () => startWithTemplate(postgresOffer),
    app: () => startSharedApp(log),
  });
  const servers: Servers = {
    socketPath: demands.socketPath,
    kafka: addressOf(kafkaOffer),
    redis: addressOf(redisOffer),
    how: { kafka: wayOf(kafkaOffer), redis: wayOf(redisOffer), postgres: postgresOffer.way },
    native: { kafka: await kafka.canBeNative(), redis: await redis.canBeNative() },
  };
  const stop = async () => {
    await demands.stop();
    for (const each of offers) if ('release' in each) await each.release();
  };
  return { servers, stop };
}

const startOf = <T>(offered: Offer<T> | Skip) =>
  'skip' in offered ? Promise.reject(new Error(offered.skip)) : offered.start();

function addressOf<T>(offered: Offer<T> | Skip): T | Skip {
  if ('skip' in offered) return offered;
  if (offered.address === undefined) throw new Error('Test files need the address before the server starts.');
  return offered.address;
}

const wayOf = (offered: Offer<unknown> | Skip) => ('skip' in offered ? 'none' : offered.way);

async function startWithTemplate(
  offered: Offer<{ connection: PostgresConnection }>,
): Promise<Started<PostgresAddress>> {
  const { connection, ...server } = await offered.start();
  const template = await prepareTemplate(connection);
  const stop = async () => {
    // A server of ours is removed with all its data.
    if (offered.way === 'env') await dropTemplate(connection, template);
    await server.stop();
  };
  return { connection, template, stop };
}

/** The server that the end-to-end files share. They come from one address, as many people at once. */
async function startSharedApp(log: Log): Promise<Started<AppAddress>> {
  const begin = performance.now();
  const app = await startApp({ RATE_LOGIN: 'off', RATE_FAILURES: 'off', RATE_REGISTER: 'off', LOG_LEVEL: 'trace' });
  log(`OpenMusic: ${app.url} (embedded, ${Math.round(performance.now() - begin)} ms)`);
  const stop = async () => {
    const secrets = secretsIn(app.wholeLog());
    await app.stop();
    if (secrets.length > 0) throw new Error(`OpenMusic logs what it must not:\n${secrets.slice(0, 10).join('\n')}`);
  };
  return { url: app.url, stop };
}
