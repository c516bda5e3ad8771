import path from 'node:path';
import type { Stoppable } from '../src/lifecycle.ts';
import type { PostgresConnection } from '../src/postgres/connection.ts';
import { keepPrivate } from '../src/private-data.ts';
import { takeDirectory } from './directory.ts';
import { prepareKafka } from './kafka-classes.ts';
import { isKafkaInstalled } from './kafka-install.ts';
import { startKafka } from './kafka.ts';
import { startPostgres } from './postgres.ts';
import { hasRedis, missingForKafka } from './programs.ts';
import { startRedis } from './redis.ts';
import { initLog, ROLES, startRole } from './roles.ts';
import type { Service } from './service.ts';
import { environmentOfRoles, settingsOf, type StackSettings } from './settings.ts';
import { supervise, type Supervisor } from './supervisor.ts';

export interface StackOptions {
  /** The user's environment: the settings of the stack and of its roles, and the PATH with its programs. */
  readonly environment: NodeJS.ProcessEnv;
  /** Is called with a line for everything that starts and stops. */
  readonly say: (line: string) => void;
  /** Cancels the start. */
  readonly signal?: AbortSignal;
}

/** The whole distributed system on this machine, each part as a process of its own. */
export interface Stack extends Stoppable {
  /** Base of the API. */
  readonly url: string;
  readonly brokers: readonly string[];
  readonly connection: PostgresConnection;
  readonly redis: string | undefined;
  /** Every process, in the order of their start. */
  readonly services: readonly Service[];
  /** The environment of its roles, for more of them and for `openmusic` commands. */
  readonly environment: NodeJS.ProcessEnv;
  /** Where its data and its logs are. */
  readonly directory: string;
  /** The first service that ended by itself: the rest is then to be stopped. */
  readonly failure: Promise<Error>;
}

/** Starts a stack on the data of `$DATA_DIR/stack`, each part when the one before it is ready. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { environment, say, signal = new AbortController().signal } = options;
  const settings = await settingsOf(environment);
  const missing = await missingForKafka(environment);
  if (missing.length > 0) throw new Error(`not on the PATH: ${missing.join('; ')}`);
  const supervisor = supervise(say, signal);
  try {
    const leadsToPostgres = [path.dirname(settings.directory), settings.directory];
    await keepPrivate(path.dirname(settings.directory), { leadsToPostgres, report: say });
    await takeDirectory(settings, (lock) => supervisor.hold('lock', lock));
    return await startServices({ environment, say, settings, supervisor });
  } catch (error) {
    await supervisor.stop();
    throw supervisor.signal.aborted ? supervisor.signal.reason : error;
  }
}

interface Plan extends Pick<StackOptions, 'environment' | 'say'> {
  readonly settings: StackSettings;
  readonly supervisor: Supervisor;
}

async function startServices(plan: Plan): Promise<Stack> {
  const { settings, supervisor } = plan;
  const kafka = supervisor.add(await kafkaOf(plan));
  const postgres = supervisor.add(await postgresOf(plan));
  const redis = await redisOf(plan);
  const servers = { brokers: [kafka.address], connection: postgres.connection, redis: redis?.address };
  const environment = await environmentOfRoles(plan.environment, settings, servers);
  const roles = await rolesOf({ ...plan, environment });
  return {
    ...servers,
    environment,
    url: settings.url,
    directory: settings.directory,
    services: [kafka, postgres, ...(redis ? [redis] : []), ...roles],
    failure: supervisor.failure,
    stop: () => supervisor.stop(),
  };
}

async function kafkaOf({ environment, say, settings, supervisor: { signal } }: Plan) {
  const { directory, ports } = settings;
  if (!(await isKafkaInstalled())) say('kafka      Maven downloads it, only this time');
  return startKafka({
    environment,
    signal,
    installation: await prepareKafka({ environment, signal }),
    directory: path.join(directory, 'kafka'),
    port: ports.KAFKA_PORT,
    log: logOf('kafka', settings),
  });
}

function postgresOf({ settings }: Plan) {
  const { directory, ports } = settings;
  return startPostgres({ directory, port: ports.PGPORT, log: logOf('postgres', settings) });
}

async function redisOf({ environment, say, settings, supervisor }: Plan): Promise<Service | undefined> {
  if (!hasRedis(environment)) {
    say('redis      nothing is cached, because there is no redis-server on the PATH');
    return undefined;
  }
  const { directory, ports } = settings;
  const place = { directory: path.join(directory, 'redis'), port: ports.REDIS_PORT, log: logOf('redis', settings) };
  return supervisor.add(await startRedis({ ...place, environment, signal: supervisor.signal }));
}

async function rolesOf({ environment, say, settings, supervisor }: Plan): Promise<Service[]> {
  const { signal } = supervisor;
  const made = await initLog({ environment, signal, log: logOf('log-init', settings) });
  say(`log init   ${await made.lastLines(1)}`);
  const roles: Service[] = [];
  for (const role of ROLES) {
    const url = role === 'api' ? settings.url : await settings.freeUrl();
    roles.push(supervisor.add(await startRole(role, { url, environment, signal, log: logOf(role, settings) })));
  }
  return roles;
}

const logOf = (name: string, { logs }: StackSettings): string => path.join(logs, `${name}.log`);
