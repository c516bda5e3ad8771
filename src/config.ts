import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { MAX_ACCESS_TOKEN_AGE } from './accounts/token-age.ts';
import { KEY_NAMES } from './keys.ts';
import { FILES_PROVIDERS, FILES_SETTINGS } from './providers/files/list.ts';
import { MAIL_PROVIDERS, MAIL_SETTINGS } from './providers/mail/list.ts';
import { count, duration, key, list, onOff, port, seconds, secret, type Secrecy } from './settings.ts';

const roles = ['api', 'projector', 'exporter', 'worker', 'scheduler', 'publisher'] as const;
export type ProcessRole = (typeof roles)[number];

const rate = z.string().regex(/^(?:[1-9]\d{0,8}\/[1-9]\d{0,8}|off)$/, 'must be count/seconds, as in 60/60, or off');

/** Whether the text is an address, a network as in 10.0.0.0/8, or one of Fastify's names for networks. */
function isNetwork(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', bits = '1', ...more] = text.split('/');
  const longest = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  return /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= longest && more.length === 0;
}

const NO_ORIGINS = 'must be origins as in https://music.example, comma-separated, or *, or off';

const originsIn = (text: string): '*' | 'off' | string[] =>
  text === '*' || text === 'off' ? text : text.split(',').map((each) => each.trim());

/** Whether the text is a scheme, host and port as browsers send them: without a path or a default port. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && ['http:', 'https:'].includes(url.protocol) && url.origin === text;
}

const areOrigins = (origins: string | string[]): boolean => typeof origins === 'string' || origins.every(isOrigin);

const mailProvider = z.enum(MAIL_PROVIDERS.map(({ name }) => name));

/** Lists the providers with what they do, for the description of a setting. */
const optionsOf = (providers: readonly { readonly name: string; readonly about: string }[]): string =>
  providers.map(({ name, about }) => `\`${name}\`: ${about}`).join('; ');

const previous = (what: string) => secret(key.optional().describe(`an older key ${what}`));

/** All settings, with form, default and description. docs/reference/configuration.md and .env.example are made of this. */
const settings = z.object({
  ROLES: z
    .string()
    .default('all')
    .transform((text) => (text === 'all' ? [...roles] : text.split(',').map((each) => each.trim())))
    .pipe(z.array(z.enum(roles)).min(1))
    .describe('`all`, or any of `api,projector,exporter,worker,scheduler,publisher`: the work of this process'),
  HOST: z.string().default('localhost').describe('address on which the API listens'),
  BIND: z
    .string()
    .optional()
    .describe(
      'address on which docker-compose.yml publishes the API; without it, HOST decides whether other machines reach the API',
    ),
  PORT: port.default(5000).describe('port of the API'),
  HEALTH_PORT: port.optional().describe('port for probes and metrics of a process without the API'),
  PUBLIC_URL: z
    .url()
    .optional()
    .describe(
      'base of every URL in an answer; processes with different bases do not share a cache; default `http://localhost:$PORT`',
    ),
  DATA_DIR: z
    .string()
    .default('./data')
    .describe('embedded Postgres, files, generated keys; `npm run stack` keeps its own in $DATA_DIR/stack'),
  NAMESPACE: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,30}$/, 'must be lower-case letters, digits and _, at most 31')
    .default('openmusic')
    .describe('first part of every topic, consumer group, Redis key and Postgres schema'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('log level of pino'),
  NODE_ENV: z
    .string()
    .default('development')
    .describe(
      '`production` refuses the secrets of docker-compose.yml and sample data; DUMMY_JOBS is then `off` by default',
    ),
  KAFKA_BROKERS: list.optional().describe('comma-separated `host:port`; without it the log is embedded in Postgres'),
  READ_ONLY: onOff
    .default('off')
    .describe(
      '`on`: follows the log of another database at KAFKA_BROKERS: reads only, with consumer groups of its own, no jobs, no Redis',
    ),
  KAFKA_SSL: onOff.default('off').describe('TLS to the brokers'),
  KAFKA_SASL_MECHANISM: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
    .optional()
    .describe('SASL mechanism of the login at the brokers'),
  KAFKA_SASL_USERNAME: z.string().optional().describe('user at the brokers'),
  KAFKA_SASL_PASSWORD: secret(z.string().optional().describe('password at the brokers')),
  KAFKA_FLUSH: onOff
    .optional()
    .describe('`on`: topics made by `log init` flush every append; default `on` with one broker'),
  PARTITIONS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(6)
    .describe('partitions of each event topic; fixed once the log exists'),
  LOG_CHECK_SECONDS: duration.default(60).describe('how often a running process checks the settings of the topics'),
  PROJECTOR_COMMIT: z
    .enum(['auto', 'async', 'sync'])
    .default('auto')
    .describe('how projections commit; `auto`: asynchronously if the log is known to be durable'),
  LAG_ALARM_SECONDS: duration
    .default(30)
    .describe('records of the log that wait for this time without becoming fewer raise an alarm in probes and metrics'),
  KAFKA_PORT: port.default(9092).describe('port of the Kafka that `npm run stack` starts'),
  PGHOST: z.string().optional().describe('PostgreSQL; without it an embedded one is started in DATA_DIR'),
  PGPORT: port.default(5432).describe('port of PGHOST, and of the PostgreSQL that `npm run stack` starts'),
  PGUSER: z.string().default('openmusic').describe('user at PGHOST'),
  PGPASSWORD: secret(z.string().default('').describe('password at PGHOST')),
  PGDATABASE: z.string().default('openmusic').describe('database at PGHOST'),
  PGSSLMODE: z
    .enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full'])
    .default('disable')
    .describe('TLS to PGHOST, as in libpq'),
  PGSSLROOTCERT: z
    .string()
    .optional()
    .describe(
      'file with the certificates of the authorities that may sign the certificate of PGHOST; `system`: the well-known authorities',
    ),
  PGSSLCERT: z.string().optional().describe('file with the client certificate, if PGHOST asks for one'),
  PGSSLKEY: z.string().optional().describe('file with the key of PGSSLCERT'),
  MIGRATE_ON_BOOT: onOff
    .default('on')
    .describe('`off`: a start runs no migration and only checks that none is missing'),
  REDIS_URL: secret(
    z
      .string()
      .regex(/^(rediss?:\/\/|off$)/, 'must begin with redis:// or rediss://, or be off')
      .optional()
      .describe(
        'Redis; takes precedence over REDIS_SERVER; `off`: nothing is cached, and KAFKA_BROKERS requires no Redis',
      ),
    'url',
  ),
  REDIS_SERVER: z.string().optional().describe('host of Redis; without it the cache is in process'),
  REDIS_PORT: port.default(6379).describe('port of REDIS_SERVER, and of the Redis that `npm run stack` starts'),
  REDIS_PASSWORD: secret(z.string().optional().describe('password at REDIS_SERVER')),
  REDIS_TLS: onOff.default('off').describe('TLS to REDIS_SERVER'),
  CACHE_MARK_SECONDS: duration
    .default(60)
    .describe(
      'how long answers that a projector was changing when it died are not cached; must be the same in all projectors',
    ),
  IDEMPOTENCY_HASH_KEY: secret(
    key
      .optional()
      .describe(
        'hashes bodies of requests with an Idempotency-Key; at least 32 bytes; generated once in DATA_DIR if the log is embedded',
      ),
  ),
  IDEMPOTENCY_HASH_KEY_PREVIOUS: previous('that is still accepted'),
  ACCESS_TOKEN_KEY: secret(
    key.optional().describe('signs access tokens; generated once in DATA_DIR if the log is embedded'),
  ),
  ACCESS_TOKEN_KEY_PREVIOUS: previous('whose tokens are still accepted'),
  ACCESS_TOKEN_AGE: seconds
    .max(MAX_ACCESS_TOKEN_AGE)
    .default(1_800)
    .describe('how long an access token is valid, in seconds; at most a day'),
  REFRESH_TOKEN_KEY: secret(key.optional().describe('signs refresh tokens; must differ from ACCESS_TOKEN_KEY')),
  REFRESH_TOKEN_KEY_PREVIOUS: previous('whose tokens are still accepted'),
  REFRESH_TOKEN_AGE: seconds.default(604_800).describe('how long a refresh token is valid, in seconds'),
  PLAYLIST_DUPLICATES: z
    .enum(['refuse', 'allow'])
    .default('refuse')
    .describe('whether a song can be in a playlist more than once'),
  CATALOG_WRITES: z
    .enum(['open', 'authenticated', 'admin'])
    .default('open')
    .describe('who may change albums and songs'),
  FILES_PROVIDER: z
    .enum(FILES_PROVIDERS.map(({ name }) => name))
    .default('disk')
    .describe(`where covers and the files of jobs are kept; ${optionsOf(FILES_PROVIDERS)}`),
  FILES_KEEP_DAYS: duration.default(30).describe('days after which the files of jobs are deleted'),
  STORED_BYTES: count
    .default(1_073_741_824)
    .describe(
      'bytes that the files of one account may take, also of an admin: files of its jobs, and covers that it uploads; above it 429',
    ),
  ...FILES_SETTINGS,
  LINK_KEY: secret(key.optional().describe('signs links to files; generated once in DATA_DIR if the log is embedded')),
  LINK_KEY_PREVIOUS: previous('whose links are still accepted'),
  LINK_AGE: seconds.max(604_800).default(900).describe('how long a link to a file is valid, in seconds'),
  MAIL_PROVIDERS: list
    .pipe(z.array(mailProvider))
    .optional()
    .describe(
      `enabled mail providers, comma-separated; ${optionsOf(MAIL_PROVIDERS)}; default \`smtp\` where SMTP_HOST is set, else \`file\``,
    ),
  MAIL_PROVIDER: mailProvider
    .optional()
    .describe('the one of MAIL_PROVIDERS that sends where a request names none; default the first'),
  MAIL_FROM: z.email({ pattern: z.regexes.html5Email }).default('openmusic@localhost').describe('sender of every mail'),
  ...MAIL_SETTINGS,
  WORKER_CONCURRENCY: count.default(8).describe('jobs that one process works on at the same time'),
  JOBS_UNFINISHED: count.default(1_000).describe('jobs of one account that have not ended; above it 429'),
  REPEAT_SECONDS: count
    .default(900)
    .describe('shortest time between two occurrences of a user’s repeating job, in seconds; for an admin it is 1'),
  REPEATS: count.default(20).describe('repeating jobs of one user that have not ended; above it 429'),
  DUMMY_JOBS: onOff
    .optional()
    .describe('whether the job type `dummy` exists; default `on`, with NODE_ENV=production `off`'),
  DUMMY_SECONDS: duration.default(30).describe('how long a job of the type `dummy` may last'),
  JOB_ATTEMPTS: count.default(5).describe('attempts of a job whose request does not name a number'),
  JOB_BACKOFF_SECONDS: duration
    .default(1)
    .describe(
      'longest pause before the second attempt, doubled before each further one; the pause is a random part of it',
    ),
  JOB_BACKOFF_MOST_SECONDS: duration.default(300).describe('longest pause between attempts'),
  MAIL_RETRY_HOURS: duration
    .default(24)
    .describe(
      'how long a mail is retried while the mail server defers its recipient: after 1, 5, 15, 30 and 60 minutes, then hourly',
    ),
  JOB_LEASE_SECONDS: duration
    .default(30)
    .describe(
      'time after which another worker gets the job of a worker that does not renew its lease; must be longer than a process can stand still',
    ),
  JOB_ATTEMPT_SECONDS: duration.default(600).describe('longest time of an attempt; then it is ended'),
  BREAKER_OPEN_SECONDS: duration.default(30).describe('how long the breaker of a failing provider stays open'),
  BREAKER_WINDOW: count.default(20).describe('last calls of a provider that its breaker counts'),
  BREAKER_MIN_CALLS: count.default(10).describe('calls below which a breaker does not open'),
  BREAKER_SHARE: duration.max(1).default(0.5).describe('share of failures among the last calls that opens a breaker'),
  BATCH_ITEMS: count.default(10_000).describe('largest number of items in a batch'),
  BATCH_BYTES: count
    .default(5_242_880)
    .describe('largest JSON body, in bytes, of a batch, an import or a message of an admin'),
  RATE_LOGIN: rate
    .default('60/60')
    .describe('logins from one address (of IPv6 a /56; ten times as many from a /48), `count/seconds`, or `off`'),
  RATE_FAILURES: rate
    .default('30/900')
    .describe(
      'wrong passwords for one account, `count/seconds`, or `off`; each address that logged in to it before has the same number of its own',
    ),
  RATE_REGISTER: rate.default('60/60').describe('registrations from one address, `count/seconds`, or `off`'),
  RATE_JOBS: rate
    .default('300/60')
    .describe('jobs started by one account, occurrences of repeating ones among them, `count/seconds`, or `off`'),
  RATE_COVERS: rate
    .default('300/3600')
    .describe(
      'covers that one account changes, or one address without login, `count/seconds`, or `off`; no limit for admins',
    ),
  RATE_MAILS: rate
    .default('20/3600')
    .describe('mails to one address that users ask for, `count/seconds`, or `off`; further ones wait'),
  RATE_DEFAULT: rate.default('off').describe('all requests from one address except probes, `count/seconds`, or `off`'),
  CORS_ORIGINS: z
    .string()
    .refine((text) => areOrigins(originsIn(text)), NO_ORIGINS)
    .default('*')
    .transform(originsIn)
    .describe(
      'origins whose pages may use the API, comma-separated, as in https://music.example; `*`: all; `off`: none; never with credentials',
    ),
  TRUST_PROXY: list
    .pipe(z.array(z.string().refine(isNetwork, 'must be an address, or a network as in 10.0.0.0/8')))
    .optional()
    .describe('addresses or networks of proxies whose X-Forwarded-For is used'),
  VERDICT_WAIT_SECONDS: seconds.default(5).describe('how long a write waits for its verdict before it answers 503'),
  COMMAND_RETRIES: count
    .default(100)
    .describe('how often a command is decided again after lost races before it answers 409'),
  STREAMS_REMEMBERED: count.default(10_000).describe('number of streams whose state the write side keeps in memory'),
  APPEND_IN_FLIGHT: count.default(2).describe('append requests in flight at the same time'),
  APPEND_RECORDS: count.default(500).describe('largest number of records in one append request'),
  APPEND_BYTES: count
    .default(512_000)
    .describe('largest number of bytes for one partition in one append request; a larger event is 413'),
  BODY_BYTES: count
    .default(65_536)
    .describe('largest JSON body, in bytes, except batches, imports and messages of an admin'),
  BODY_DEPTH: count.default(20).describe('deepest nesting of a JSON body'),
  BODY_FIELDS: count.default(1_000).describe('largest number of fields of an object in a JSON body'),
  RABBITMQ_SERVER: z.string().optional().describe('was used by earlier versions; ignored with a warning'),
});

type Settings = z.output<typeof settings>;

/** The settings as the program uses them, parsed once. */
export type Config = Settings & { readonly publicUrl: string; readonly mail: MailChoice };

type MailProviderName = z.output<typeof mailProvider>;

/** The enabled mail providers, and the one that sends the mails of requests that name none. */
interface MailChoice {
  readonly enabled: readonly MailProviderName[];
  readonly default: MailProviderName;
}

/** A setting is wrong or missing. The message is one line. */
class ConfigError extends Error {}

/** Reads `.env` of the working directory and the environment, which wins. An empty value counts as not given. */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env, directory = process.cwd()): Config {
  const given = { ...dotEnv(path.join(directory, '.env')), ...environment };
  const filled = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
  const parsed = settings.safeParse(withSecretFiles(filled));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map(showIssue).join('; '));
  mustBeComplete(parsed.data);
  const publicUrl = (parsed.data.PUBLIC_URL ?? `http://localhost:${parsed.data.PORT}`).replace(/\/+$/, '');
  return { ...parsed.data, ROLES: rolesOf(parsed.data), publicUrl, mail: mailOf(parsed.data) };
}

const READING: readonly ProcessRole[] = ['api', 'projector'];

/** A follower runs no jobs. */
function rolesOf({ ROLES, READ_ONLY }: Settings): ProcessRole[] {
  const left = READ_ONLY === 'on' ? ROLES.filter((role) => READING.includes(role)) : ROLES;
  if (left.length === 0) throw new ConfigError('ROLES: must hold api or projector when READ_ONLY is on');
  return left;
}

function withSecretFiles(given: NodeJS.Dict<string>): NodeJS.Dict<string> {
  const read = Object.keys(settings.shape).flatMap((name) => {
    const setting = fileSettingOf(name);
    const file = setting && given[setting];
    if (!setting || file === undefined) return [];
    if (given[name] !== undefined) throw new ConfigError(`${name}: must not be set together with ${setting}`);
    return [[name, secretIn(file, setting)] as const];
  });
  return { ...given, ...Object.fromEntries(read) };
}

/** Gives the setting that names a file with the value of a secret. Undefined if the setting is not a secret. */
const fileSettingOf = (name: string): string | undefined => (secrecyOf(name) ? `${name}_FILE` : undefined);

function secretIn(file: string, setting: string): string {
  const value = textOf(file, setting).replace(/\r?\n$/, '');
  if (value === '') throw new ConfigError(`${setting}: ${file} is empty`);
  return value;
}

function textOf(file: string, setting: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`${setting}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'failed'})`);
  }
}

function mailOf({ MAIL_PROVIDERS: named, MAIL_PROVIDER, ...config }: Settings): MailChoice {
  const enabled = named ?? [MAIL_PROVIDER ?? (config.SMTP_HOST ? 'smtp' : 'file')];
  const byDefault = MAIL_PROVIDER ?? enabled[0] ?? 'file';
  if (!enabled.includes(byDefault)) throw new ConfigError('MAIL_PROVIDER: must be among MAIL_PROVIDERS');
  for (const provider of MAIL_PROVIDERS) mustBeUsable(provider, enabled.includes(provider.name), config);
  return { enabled, default: byDefault };
}

type ProviderSettings = Omit<Settings, 'MAIL_PROVIDERS' | 'MAIL_PROVIDER'>;

interface CheckedProvider {
  problem?(settings: ProviderSettings, isEnabled: boolean): string | undefined;
}

function mustBeUsable(provider: CheckedProvider, isEnabled: boolean, config: ProviderSettings): void {
  const problem = provider.problem?.(config, isEnabled);
  if (problem !== undefined) throw new ConfigError(problem);
}

/** The environment of this process, for child processes. */
export const inheritedEnvironment = (): NodeJS.ProcessEnv => ({ ...process.env });

function dotEnv(file: string): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new ConfigError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

const showIssue = ({ path: where, message }: z.core.$ZodIssue): string => `${where.join('.')}: ${message}`;

/** Throws if settings do not go together. */
function mustBeComplete(config: Settings): void {
  const accessKeys = [config.ACCESS_TOKEN_KEY, config.ACCESS_TOKEN_KEY_PREVIOUS];
  for (const name of ['REFRESH_TOKEN_KEY', 'REFRESH_TOKEN_KEY_PREVIOUS'] as const) {
    if (config[name] !== undefined && accessKeys.includes(config[name])) {
      throw new ConfigError(`${name}: must differ from the keys of access tokens`);
    }
  }
  for (const provider of FILES_PROVIDERS) {
    mustBeUsable(provider, provider.name === config.FILES_PROVIDER, config);
  }
  if (config.BREAKER_MIN_CALLS > config.BREAKER_WINDOW) {
    throw new ConfigError('BREAKER_MIN_CALLS: must be at most BREAKER_WINDOW');
  }
  mustNotBePublished(config);
  mustHaveCertificates(config);
  if (config.READ_ONLY === 'on') mustFollow(config);
  else if (config.KAFKA_BROKERS) mustBeDistributed(config);
}

const KNOWN_KEY = 'only-for-development';
const KNOWN_PASSWORD = 'openmusic';

/** Gives the names of the secrets that have the values of docker-compose.yml. */
function publishedSecrets(config: Settings): string[] {
  const keys = KEY_NAMES.flatMap((name) => [name, `${name}_PREVIOUS`] as const);
  const known = keys.filter((name) => config[name]?.startsWith(KNOWN_KEY));
  return [...known, ...(config.PGHOST && config.PGPASSWORD === KNOWN_PASSWORD ? ['PGPASSWORD'] : [])];
}

/** A published key lets any reader of it forge tokens, so it is accepted only where other machines cannot reach the API. */
function mustNotBePublished(config: Settings): void {
  const published = publishedSecrets(config);
  const open = config.BIND ?? config.HOST;
  const isProduction = config.NODE_ENV === 'production';
  if (published.length === 0 || (!isProduction && isOwnMachine(open))) return;
  const reason = isProduction ? 'NODE_ENV is production' : `${open} can be reached`;
  const are = published.map((name) => `${name}: must not be the one of docker-compose.yml, which is public`);
  throw new ConfigError(`${are.join('; ')} (${reason})`);
}

const isOwnMachine = (address: string): boolean =>
  address === 'localhost' || address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));

function mustBeDistributed(config: Settings): void {
  if (!config.PGHOST) throw new ConfigError('PGHOST: must be set when KAFKA_BROKERS is');
  if (!config.REDIS_URL && !config.REDIS_SERVER) throw new ConfigError('REDIS_URL: must be set when KAFKA_BROKERS is');
  for (const name of KEY_NAMES) if (!config[name]) throw new ConfigError(`${name}: must be set when KAFKA_BROKERS is`);
}

/** A follower has its own Postgres, which may be the embedded one, and generates its own keys. */
function mustFollow({ KAFKA_BROKERS }: Settings): void {
  if (!KAFKA_BROKERS) throw new ConfigError('KAFKA_BROKERS: must be set when READ_ONLY is on');
}

function mustHaveCertificates({ PGSSLMODE, PGSSLROOTCERT, PGSSLCERT, PGSSLKEY }: Settings): void {
  if (PGSSLMODE.startsWith('verify') && !PGSSLROOTCERT) {
    throw new ConfigError(`PGSSLROOTCERT: must be set when PGSSLMODE is ${PGSSLMODE}`);
  }
  if (!PGSSLCERT !== !PGSSLKEY) throw new ConfigError('PGSSLKEY: must be set together with PGSSLCERT');
}

/** How long a job of the type `dummy` may last, in seconds. Undefined if there is no such type. */
export const dummySecondsOf = ({ DUMMY_JOBS, DUMMY_SECONDS, NODE_ENV }: Config): number | undefined =>
  (DUMMY_JOBS ?? (NODE_ENV === 'production' ? 'off' : 'on')) === 'on' ? DUMMY_SECONDS : undefined;

/** Gives lines for the log at start about settings that are ignored or risky. */
export function warningsOf(config: Config): string[] {
  const warnings: string[] = [];
  for (const name of publishedSecrets(config)) {
    warnings.push(`${name} is the one of docker-compose.yml, which is public.`);
  }
  if (config.RABBITMQ_SERVER) {
    warnings.push(
      'RABBITMQ_SERVER is ignored: jobs are events on the log; KAFKA_BROKERS names a broker, none is needed.',
    );
  }
  if (config.READ_ONLY === 'on' && (config.REDIS_SERVER ?? (config.REDIS_URL !== 'off' && config.REDIS_URL))) {
    warnings.push('Redis is not used: a follower (READ_ONLY=on) caches in process.');
  }
  return warnings;
}

const LAST_PRIVILEGED_PORT = 1_023;

/** Warns of root, which would let a fault of OpenMusic harm the whole machine. Only low ports need root. */
export function rootWarnings({ ROLES, PORT, HEALTH_PORT }: Config, uid: number | undefined): string[] {
  const ports = [ROLES.includes('api') ? PORT : undefined, HEALTH_PORT];
  const isNeeded = ports.some((each) => each !== undefined && each > 0 && each <= LAST_PRIVILEGED_PORT);
  return uid === 0 && !isNeeded ? ['OpenMusic runs as root and does not need to. Start it as a user of its own.'] : [];
}

/** Gives the settings without secrets, for the log. */
export function redacted(config: Config): Record<string, unknown> {
  const show = (name: string, value: unknown) => {
    if (secrecyOf(name) === 'hidden') return '[set]';
    return typeof value === 'string' ? value.replace(/\/\/.*@/, '//[set]@') : value;
  };
  const entries = Object.entries<unknown>(config).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, show(name, value)]));
}

function secrecyOf(name: string): Secrecy | undefined {
  const schema = Object.entries<z.ZodType>(settings.shape).find(([each]) => each === name)?.[1];
  return schema?.meta()?.secrecy as Secrecy | undefined;
}

export interface DescribedSetting {
  readonly name: string;
  readonly fallback: string | undefined;
  readonly about: string;
  /** The setting that names a file with the value of this one. */
  readonly file?: string | undefined;
}

/** Gives name, default and description of every setting, for the documentation. */
export function describeSettings(): DescribedSetting[] {
  return Object.entries(settings.shape).map(([name, schema]) => {
    const fallback = name === 'ROLES' ? 'all' : schema.safeParse(undefined).data;
    const about = schema.description ?? '';
    return { name, fallback: fallback === undefined ? undefined : String(fallback), about, file: fileSettingOf(name) };
  });
}
