import { hostname } from 'node:os';
import path from 'node:path';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { LogOwner } from './events/genesis.ts';
import { newId } from './events/ids.ts';
import { createPlacement, type Placement } from './events/placement.ts';
import type { Lifecycle } from './lifecycle.ts';
import { LogInUse, openEmbeddedLog } from './log/embedded.ts';
import type { EventLog } from './log/event-log.ts';
import { forReading } from './log/follow.ts';
import { readOwner } from './log/owner.ts';
import type { PostgresConnection } from './postgres/connection.ts';
import { joinOrStartEmbeddedPostgres } from './postgres/embedded.ts';
import { keepEmbeddedPostgres } from './postgres/postgres-supervisor.ts';
import { createThrottle, throttled } from './concurrency/throttle.ts';
import { migrate } from './postgres/migrate.ts';
import { type Client, type Database, openDatabase } from './postgres/pool.ts';
import { liftTimeLimits } from './postgres/time-limits.ts';
import { withTls } from './postgres/tls.ts';
import { explainPostgres } from './postgres/unreachable.ts';

/** What every role and every command of the command line works with. */
export interface Resources {
  readonly connection: PostgresConnection;
  /** The namespace's own tables; not bound to a generation. */
  readonly admin: Database;
  readonly log: EventLog;
  /** False where a server owns the embedded log, or the log was opened for reading. Appends then go through that server. */
  readonly isWritable: boolean;
  readonly placement: Placement;
  /** The identity of the database towards a broker's log; undefined where the log is in the database. */
  readonly me: LogOwner | undefined;
  /** The client id of this process at the brokers. */
  readonly clientId: string;
  /** Names of the migrations that this start applied. */
  readonly migrated: readonly string[];
}

export interface ResourceOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Everything opened is stopped by it. */
  readonly lifecycle: Lifecycle;
  /**
   * - `server`: the one that owns embedded data;
   * - `command`: beside a running server, reading the embedded log only;
   * - `lone-command`: instead of a server;
   * - `writer`: either of the two: it appends to an embedded log by itself, unless a server does.
   */
  readonly as: 'server' | 'command' | 'lone-command' | 'writer';
}

export async function openResources(options: ResourceOptions): Promise<Resources> {
  const { config, lifecycle } = options;
  const placement = createPlacement(config.NAMESPACE, config.PARTITIONS);
  const connection = await reachPostgres(options);
  const migrated = await bringUpToDate(connection, options).catch((error: unknown) => {
    throw explainPostgres(error, connection);
  });
  const searchPath = [config.NAMESPACE, 'public'];
  const common = { name: 'openmusic', max: 6, searchPath, queryTimeoutMs: 600_000 };
  const admin = openDatabase(connection, { ...common, prepare: liftAndReport(options.logger) });
  lifecycle.add('database', admin);
  const me = config.KAFKA_BROKERS ? await readOwner(admin) : undefined;
  const clientId = clientIdOf(config);
  const { log, isWritable } = await openLog(connection, options, { me, clientId });
  lifecycle.add('log', { stop: () => log.close() });
  return { connection, admin, log, isWritable, placement, me, clientId, migrated };
}

function liftAndReport(logger: Logger): (client: Client) => Promise<void> {
  let isReported = false;
  return async (client) => {
    const lifted = await liftTimeLimits(client);
    if (lifted.length > 0 && !isReported)
      logger.warn(`not applied to rebuilds, projectors and migrations: ${lifted.join(', ')}`);
    isReported = true;
  };
}

async function reachPostgres({ config, logger, lifecycle, as }: ResourceOptions): Promise<PostgresConnection> {
  if (config.PGHOST) {
    const { PGHOST: host, PGPORT: port, PGUSER: user, PGPASSWORD: password, PGDATABASE: database } = config;
    return withTls({ host, port, user, password, database }, config);
  }
  const options = { dataDir: path.resolve(config.DATA_DIR), log: (line: string) => logger.debug(line) };
  const open = as === 'server' ? keepEmbeddedPostgres : joinOrStartEmbeddedPostgres;
  const server = await open(
    options,
    throttled((message) => logger.error(message)),
  );
  return lifecycle.add('embedded Postgres', server).connection;
}

async function bringUpToDate(connection: PostgresConnection, { config, logger }: ResourceOptions): Promise<string[]> {
  const dryRun = config.MIGRATE_ON_BOOT === 'off';
  const report = (message: string) => logger.warn(message);
  const migrations = await migrate({ connection, namespace: config.NAMESPACE, dryRun, report });
  if (dryRun && migrations.length > 0) {
    throw new Error(`Postgres lacks ${migrations.join(', ')}. Run: npm run migrate -- up`);
  }
  return migrations;
}

/** Only commands that run alone, such as `log adopt`, may write to the log that this database follows. */
const isFollower = ({ config, as }: ResourceOptions): boolean => config.READ_ONLY === 'on' && as !== 'lone-command';

/** Unique, so that the process of each member of a consumer group can be found. */
const clientIdOf = ({ NAMESPACE }: Config): string =>
  `${NAMESPACE}-${hostname().replace(/[^\w.-]/g, '_')}-${process.pid}-${newId().slice(-8)}`;

async function openLog(
  connection: PostgresConnection,
  options: ResourceOptions,
  { me, clientId }: Pick<Resources, 'me' | 'clientId'>,
): Promise<Pick<Resources, 'log' | 'isWritable'>> {
  const { config, logger, as } = options;
  const throttle = createThrottle();
  const say = (level: 'debug' | 'info' | 'warn' | 'error', message: string, extra: object = {}) => {
    const line = level === 'debug' ? message : throttle(message, message);
    if (line !== undefined) logger[level](extra, line);
  };
  if (config.KAFKA_BROKERS) {
    // Loaded only where there are brokers, because it is a tenth of all modules.
    const { openKafkaLog } = await import('./log/kafka.ts');
    const groups = me && { namespace: config.NAMESPACE, of: me };
    const log = await openKafkaLog({ ...kafkaOptions(config), clientId, logger: say, ...(groups && { groups }) });
    return isFollower(options) ? { log: forReading(log), isWritable: false } : { log, isWritable: true };
  }
  const open = (readOnly: boolean) =>
    openEmbeddedLog({
      connection,
      namespace: config.NAMESPACE,
      readOnly,
      log: say,
      onLost: (error) => {
        logger.fatal(error.message);
        process.exit(1);
      },
    }).then((log) => ({ log, isWritable: !readOnly }));
  if (as !== 'writer') return open(as === 'command');
  return open(false).catch((error: unknown) => {
    if (error instanceof LogInUse) return open(true);
    throw error;
  });
}

function kafkaOptions(config: Config) {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = config;
  const brokers = config.KAFKA_BROKERS ?? [];
  return {
    brokers,
    ssl: config.KAFKA_SSL === 'on',
    sasl: mechanism && { mechanism, username: username ?? '', password: password ?? '' },
    flush: config.KAFKA_FLUSH ?? (brokers.length === 1 ? ('on' as const) : ('off' as const)),
  };
}
