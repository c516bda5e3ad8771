import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeSettings, dummySecondsOf, loadConfig, redacted, rootWarnings, warningsOf } from './config.ts';
import { KEY_NAMES } from './keys.ts';
import { KEYS } from '../test/support/keys.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'openmusic-config-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const load = (environment: NodeJS.ProcessEnv) => loadConfig(environment, directory);

/** Gives the whole message about what is wrong with an environment. */
function refusalOf(environment: NodeJS.ProcessEnv): string {
  try {
    load(environment);
  } catch (error) {
    if ((error as Error).constructor.name === 'ConfigError') return (error as Error).message;
    throw error;
  }
  return 'nothing is wrong';
}

it.each([
  [{}, 30],
  [{ NODE_ENV: 'production' }, undefined],
  [{ NODE_ENV: 'production', DUMMY_JOBS: 'on', DUMMY_SECONDS: '5' }, 5],
  [{ DUMMY_JOBS: 'off' }, undefined],
])('with %j the longest time of a job of the type dummy is %s seconds', (environment, seconds) => {
  expect(dummySecondsOf(load(environment))).toBe(seconds);
});

describe('CORS_ORIGINS', () => {
  it.each([
    [undefined, '*'],
    ['*', '*'],
    ['off', 'off'],
    ['https://music.example', ['https://music.example']],
    ['https://music.example, http://localhost:3000', ['https://music.example', 'http://localhost:3000']],
  ])('%s means %j', (given, origins) => {
    expect(load({ CORS_ORIGINS: given }).CORS_ORIGINS).toEqual(origins);
  });

  it.each([
    'music.example',
    'https://music.example/',
    'https://music.example/app',
    'https://music.example:443',
    'null',
    '*,off',
    'https://*.example/x',
    'ftp://music.example',
  ])(
    // prettier-ignore
    'rejects the list of origins %s',
    (given) => {
      expect(refusalOf({ CORS_ORIGINS: given })).toMatch(/^CORS_ORIGINS: must be origins as in https:/);
    },
  );
});

describe('a configuration without settings', () => {
  it('runs everything in one process, and needs only DATA_DIR', () => {
    const config = load({});
    expect(config).toMatchObject({
      HOST: 'localhost',
      PORT: 5000,
      DATA_DIR: './data',
      NAMESPACE: 'openmusic',
      PARTITIONS: 6,
    });
    expect(config.ROLES).toEqual(['api', 'projector', 'exporter', 'worker', 'scheduler', 'publisher']);
    expect([config.KAFKA_BROKERS, config.PGHOST, config.REDIS_URL, config.REDIS_SERVER]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(config.publicUrl).toBe('http://localhost:5000');
    expect(warningsOf(config)).toEqual([]);
  });

  it('treats an empty value as a missing one', () => {
    expect(load({ PORT: '', PGHOST: '', KAFKA_BROKERS: '' })).toEqual(load({}));
  });
});

describe('the .env of an earlier version', () => {
  const earlier = `# server configuration
HOST=localhost
PORT=5123

# node-postgres configuration
PGUSER=developer
PGHOST=localhost
PGPASSWORD="supersecretpassword"
PGDATABASE=openmusic
PGPORT=5432

# JWT token
ACCESS_TOKEN_KEY=8b7b4ef375716ab08b2a3951b29d52fc00b1c855f9d1a847229b8c5935bef56d9d2e8f
REFRESH_TOKEN_KEY=a2ae1edd5b2f1bd29ad0d0d3da5d4b7d1d8c1d4d2b7fbdfbf2b1d1d0a4d0c1c2b3a4
ACCESS_TOKEN_AGE=1800

# Message broker
RABBITMQ_SERVER=amqp://guest:guest@localhost

# Redis
REDIS_SERVER=localhost

# nodemailer SMTP authentication
SMTP_HOST=smtp.mailtrap.io
SMTP_PORT=2525
SMTP_USER=someone
SMTP_PASSWORD=alsosecret
`;
  let config: ReturnType<typeof load>;
  beforeAll(() => {
    writeFileSync(path.join(directory, '.env'), earlier);
    config = load({});
  });
  afterAll(() => rmSync(path.join(directory, '.env')));

  it('loads unchanged', () => {
    expect(config).toMatchObject({
      HOST: 'localhost',
      PORT: 5123,
      REDIS_SERVER: 'localhost',
      publicUrl: 'http://localhost:5123',
    });
    expect(config).toMatchObject({ PGHOST: 'localhost', PGPORT: 5432, PGUSER: 'developer', PGDATABASE: 'openmusic' });
    expect(config.PGPASSWORD).toBe('supersecretpassword');
    expect(config.ACCESS_TOKEN_KEY).toMatch(/^8b7b4ef3.*2e8f$/);
    expect(config.REFRESH_TOKEN_KEY).toMatch(/^a2ae1edd.*b3a4$/);
    expect([config.ACCESS_TOKEN_AGE, config.REFRESH_TOKEN_AGE]).toEqual([1_800, 604_800]);
    expect(config.KAFKA_BROKERS).toBeUndefined();
  });

  it('gives one warning, which names the replacement of RABBITMQ_SERVER', () => {
    expect(warningsOf(config)).toEqual([expect.stringMatching(/^RABBITMQ_SERVER is ignored.*KAFKA_BROKERS/)]);
  });

  it('hides its secrets in the log', () => {
    const shown = JSON.stringify(redacted(config));
    for (const secret of ['supersecretpassword', 'alsosecret', '8b7b4ef3', 'a2ae1edd', 'guest:guest']) {
      expect(shown).not.toContain(secret);
    }
    expect(shown).toContain('5123');
  });

  it('is overruled by the environment', () => {
    expect(load({ PORT: '6000', PGDATABASE: 'other' })).toMatchObject({
      PORT: 6000,
      PGDATABASE: 'other',
      PGUSER: 'developer',
    });
  });
});

describe('a wrong value', () => {
  const kafka = { KAFKA_BROKERS: 'a:9092', PGHOST: 'p', REDIS_URL: 'redis://r', ...KEYS };

  it.each<[NodeJS.ProcessEnv, RegExp]>([
    [{ PORT: 'eighty' }, /^PORT: /],
    [{ PORT: '65536' }, /^PORT: /],
    [{ PORT: '-1' }, /^PORT: /],
    [{ PARTITIONS: '0' }, /^PARTITIONS: /],
    [{ PARTITIONS: '1.5' }, /^PARTITIONS: /],
    [{ ROLES: 'api,singer' }, /^ROLES\.1: /],
    [{ NAMESPACE: 'Open Music' }, /^NAMESPACE: must be lower-case/],
    [{ NAMESPACE: 'a'.repeat(32) }, /^NAMESPACE: /],
    [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL: /],
    [{ KAFKA_BROKERS: 'a:9092,,b:9092' }, /^KAFKA_BROKERS\.1: /],
    [{ REDIS_URL: 'http://r' }, /^REDIS_URL: must begin with redis/],
    [{ PUBLIC_URL: 'here' }, /^PUBLIC_URL: /],
    [
      { IDEMPOTENCY_HASH_KEY: 'short' },
      /^IDEMPOTENCY_HASH_KEY: must be at least 32 bytes; `openssl rand -base64 48` makes one$/,
    ],
    [{ VERDICT_WAIT_SECONDS: '0' }, /^VERDICT_WAIT_SECONDS: /],
    [{ CATALOG_WRITES: 'maybe' }, /^CATALOG_WRITES: /],
    [{ ...kafka, PGHOST: '' }, /^PGHOST: must be set when KAFKA_BROKERS is$/],
    [{ ...kafka, REDIS_URL: '' }, /^REDIS_URL: must be set when KAFKA_BROKERS is$/],
    [{ ...kafka, IDEMPOTENCY_HASH_KEY: '' }, /^IDEMPOTENCY_HASH_KEY: must be set when KAFKA_BROKERS is$/],
    [{ ...kafka, ACCESS_TOKEN_KEY: '' }, /^ACCESS_TOKEN_KEY: must be set when KAFKA_BROKERS is$/],
    [{ ...KEYS, REFRESH_TOKEN_KEY: KEYS.ACCESS_TOKEN_KEY }, /^REFRESH_TOKEN_KEY: must differ from the keys/],
    [{ ...KEYS, ACCESS_TOKEN_KEY_PREVIOUS: KEYS.REFRESH_TOKEN_KEY }, /^REFRESH_TOKEN_KEY: must differ from the keys/],
    [{ ...KEYS, REFRESH_TOKEN_KEY_PREVIOUS: KEYS.ACCESS_TOKEN_KEY }, /^REFRESH_TOKEN_KEY_PREVIOUS: must differ from/],
    [
      { ACCESS_TOKEN_KEY: 'x'.repeat(31) },
      /^ACCESS_TOKEN_KEY: must be at least 32 bytes; `openssl rand -base64 48` makes one$/,
    ],
    [
      { REFRESH_TOKEN_KEY_PREVIOUS: 'x'.repeat(31) },
      /^REFRESH_TOKEN_KEY_PREVIOUS: must be at least 32 bytes; `openssl rand -base64 48` makes one$/,
    ],
    [{ ACCESS_TOKEN_AGE: '0' }, /^ACCESS_TOKEN_AGE: /],
    [{ ACCESS_TOKEN_AGE: '86401' }, /^ACCESS_TOKEN_AGE: /],
    [{ ACCESS_TOKEN_AGE: '30m' }, /^ACCESS_TOKEN_AGE: /],
    [{ REFRESH_TOKEN_AGE: '1.5' }, /^REFRESH_TOKEN_AGE: /],
    [{ FILES_PROVIDER: 's3' }, /^S3_BUCKET: must be set when FILES_PROVIDER is s3$/],
    [{ PGSSLMODE: 'allow' }, /^PGSSLMODE: /],
    [{ PGSSLMODE: 'verify-full' }, /^PGSSLROOTCERT: must be set when PGSSLMODE is verify-full$/],
    [{ PGSSLCERT: 'client.crt' }, /^PGSSLKEY: must be set together with PGSSLCERT$/],
    [{ LAG_ALARM_SECONDS: '0' }, /^LAG_ALARM_SECONDS: /],
    [{ AWS_ACCESS_KEY_ID: 'a' }, /^AWS_SECRET_ACCESS_KEY: must be set together/],
    [{ BREAKER_SHARE: '0' }, /^BREAKER_SHARE: /],
    [{ BREAKER_SHARE: '1.1' }, /^BREAKER_SHARE: /],
    [{ BREAKER_WINDOW: '9' }, /^BREAKER_MIN_CALLS: must be at most BREAKER_WINDOW$/],
    [{ MAIL_RETRY_HOURS: '0' }, /^MAIL_RETRY_HOURS: /],
    [{ RATE_LOGIN: '60' }, /^RATE_LOGIN: must be count\/seconds/],
    [{ RATE_LOGIN: '0/60' }, /^RATE_LOGIN: /],
    ...['true', '1', 'proxy.example', '10.0.0.0/0', '10.0.0.0/33', '10.0.0/8', '::/129', '10.0.0.1/8/8'].map(
      (TRUST_PROXY): [NodeJS.ProcessEnv, RegExp] => [{ TRUST_PROXY }, /^TRUST_PROXY\.0: must be an address, or a/],
    ),
  ])('is one clear line for %j', (environment, message) => {
    const refusal = refusalOf(environment);
    expect(refusal).toMatch(message);
    expect(refusal).not.toContain('\n');
  });

  it('is reported together with all other wrong values', () => {
    expect(refusalOf({ PORT: 'x', PARTITIONS: 'y' })).toMatch(/^PORT: .*; PARTITIONS: /);
  });

  it('is not shown if it may be a secret', () => {
    expect(refusalOf({ IDEMPOTENCY_HASH_KEY: 'mysecret' })).not.toContain('mysecret');
    expect(refusalOf({ REDIS_URL: 'http://:mysecret@r' })).not.toContain('mysecret');
  });

  it('is reported for an .env that cannot be read', () => {
    const odd = path.join(directory, 'odd');
    mkdirSync(path.join(odd, '.env'), { recursive: true });
    expect(() => loadConfig({}, odd)).toThrow(/\.env cannot be read: /);
  });
});

it('accepts proxies as addresses, networks, or names of networks', () => {
  const TRUST_PROXY = 'loopback, 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8';
  expect(load({ TRUST_PROXY }).TRUST_PROXY).toEqual(['loopback', '10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8']);
});

it('accepts REDIS_URL=off where KAFKA_BROKERS requires a Redis', () => {
  const kafka = { KAFKA_BROKERS: 'a:9092', PGHOST: 'p', ...KEYS };
  const config = load({ ...kafka, REDIS_URL: 'off', REDIS_SERVER: 'r' });
  expect(config.REDIS_URL).toBe('off');
});

describe('a secret as a file', () => {
  const fileOf = (name: string, text: string): string => {
    const file = path.join(directory, name);
    writeFileSync(file, text);
    return file;
  };
  const secrets = describeSettings().flatMap(({ name, file }) => (file ? [{ name, file }] : []));

  it('can be given for each password, key and secret', () => {
    expect(secrets.map(({ name }) => name).sort()).toEqual(
      [
        ...KEY_NAMES.flatMap((name) => [name, `${name}_PREVIOUS`]),
        ...['AWS_SECRET_ACCESS_KEY', 'KAFKA_SASL_PASSWORD', 'MAIL_WEBHOOK_SECRET', 'PGPASSWORD'],
        ...['REDIS_PASSWORD', 'REDIS_URL', 'SMTP_PASSWORD'],
      ].sort(),
    );
    expect(secrets.every(({ name, file }) => file === `${name}_FILE`)).toBe(true);
  });

  it.each(secrets)('reads $name from $file', ({ name, file }) => {
    const value = name === 'REDIS_URL' ? 'redis://:secret@r' : `of ${name} ${'x'.repeat(32)}`;
    const others = name === 'AWS_SECRET_ACCESS_KEY' ? { AWS_ACCESS_KEY_ID: 'id' } : {};
    const config = load({ ...others, [file]: fileOf(name, `${value}\n`) });
    expect(config).toMatchObject({ [name]: value });
    expect(JSON.stringify(redacted(config))).not.toContain(value);
  });

  it.each([
    ['a newline', 'secret\n', 'secret'],
    ['a newline of Windows', 'secret\r\n', 'secret'],
    ['no newline', 'secret', 'secret'],
    ['blanks, which belong to it', ' secret \n\n', ' secret \n'],
  ])('ends with %s', (_, text, secret) => {
    expect(load({ PGPASSWORD_FILE: fileOf('password', text) }).PGPASSWORD).toBe(secret);
  });

  it('is read where the .env names it', () => {
    writeFileSync(path.join(directory, '.env'), `PGPASSWORD_FILE=${fileOf('password', 'from a file')}\n`);
    expect(load({}).PGPASSWORD).toBe('from a file');
    rmSync(path.join(directory, '.env'));
  });

  it.each<[string, () => NodeJS.ProcessEnv, RegExp]>([
    [
      'both are set',
      () => ({ PGPASSWORD: 'one', PGPASSWORD_FILE: fileOf('password', 'other') }),
      /^PGPASSWORD: must not be set together with PGPASSWORD_FILE$/,
    ],
    [
      'there is no such file',
      () => ({ LINK_KEY_FILE: '/not/there' }),
      /^LINK_KEY_FILE: \/not\/there cannot be read \(ENOENT\)$/,
    ],
    ['it is a directory', () => ({ LINK_KEY_FILE: directory }), /^LINK_KEY_FILE: .* cannot be read \(EISDIR\)$/],
    ['it is empty', () => ({ LINK_KEY_FILE: fileOf('empty', '\n') }), /^LINK_KEY_FILE: .*empty is empty$/],
    [
      'it holds a wrong value',
      () => ({ LINK_KEY_FILE: fileOf('short', 'short') }),
      /^LINK_KEY: must be at least 32 bytes; `openssl rand -base64 48` makes one$/,
    ],
  ])('is refused in one line when %s', (_, environment, line) => {
    expect(refusalOf(environment())).toMatch(line);
  });
});

describe('the settings in the log', () => {
  it('hides every key and password, and the one in a URL', () => {
    const secrets = {
      PGPASSWORD: 'secret-1',
      REDIS_PASSWORD: 'secret-2',
      KAFKA_SASL_PASSWORD: 'secret-3',
      IDEMPOTENCY_HASH_KEY: `secret-4${'x'.repeat(32)}`,
      IDEMPOTENCY_HASH_KEY_PREVIOUS: `secret-5${'x'.repeat(32)}`,
      ACCESS_TOKEN_KEY: `secret-8${'x'.repeat(32)}`,
      REFRESH_TOKEN_KEY_PREVIOUS: `secret-9${'x'.repeat(32)}`,
      AWS_ACCESS_KEY_ID: 'known',
      AWS_SECRET_ACCESS_KEY: 'secret-0',
      REDIS_URL: 'rediss://user:secret-6@redis.example:6380/1',
      RABBITMQ_SERVER: 'amqp://user:secret-7@rabbit.example',
    };
    const shown = redacted(load(secrets));
    expect(JSON.stringify(shown)).not.toMatch(/secret-\d/);
    expect(shown.REDIS_URL).toBe('rediss://[set]@redis.example:6380/1');
    expect(shown.PGPASSWORD).toBe('[set]');
  });
});

it('accepts the default sender of mail as a value', () => {
  expect(load({ MAIL_FROM: load({}).MAIL_FROM })).toMatchObject({ MAIL_FROM: 'openmusic@localhost' });
});

describe('the secrets of docker-compose.yml', () => {
  const compose = readFileSync(new URL('../docker-compose.yml', import.meta.url), 'utf8');
  const published = Object.fromEntries(
    [...KEY_NAMES, 'PGPASSWORD'].map((name) => [
      name,
      new RegExp(`\\$\\{${name}:-([^}]+)\\}`).exec(compose)?.[1] ?? '',
    ]),
  );
  const all = { ...published, PGHOST: 'postgres' };
  const refusal = (reason: string, ...names: string[]) =>
    `${names.map((name) => `${name}: must not be the one of docker-compose.yml, which is public`).join('; ')} (${reason})`;

  it('are refused in production, each with its name', () => {
    const names = Object.keys(published);
    expect(names).toHaveLength(5);
    expect(refusalOf({ ...all, NODE_ENV: 'production' })).toBe(refusal('NODE_ENV is production', ...names));
    expect(refusalOf({ LINK_KEY_PREVIOUS: published.LINK_KEY, NODE_ENV: 'production' })).toBe(
      refusal('NODE_ENV is production', 'LINK_KEY_PREVIOUS'),
    );
    expect(refusalOf({ ...KEYS, PGHOST: 'postgres', PGPASSWORD: 'another', NODE_ENV: 'production' })).toBe(
      'nothing is wrong',
    );
  });

  it.each([
    [{ BIND: '0.0.0.0' }, '0.0.0.0'],
    [{ BIND: '192.0.2.1' }, '192.0.2.1'],
    [{ BIND: '::' }, '::'],
    [{ HOST: '0.0.0.0' }, '0.0.0.0'],
  ])('are refused where other machines reach the API: %j', (open, address) => {
    expect(refusalOf({ ...all, ...open })).toBe(refusal(`${address} can be reached`, ...Object.keys(published)));
  });

  it.each([{}, { BIND: '127.0.0.1', HOST: '0.0.0.0' }, { BIND: '::1' }, { HOST: '127.0.0.2' }])(
    'are a warning each where only this machine does: %j',
    (closed) => {
      expect(warningsOf(load({ ...all, ...closed }))).toEqual(
        Object.keys(published).map((name) => `${name} is the one of docker-compose.yml, which is public.`),
      );
    },
  );
});

it('warns of running as root, unless a low port needs it', () => {
  const warning = [expect.stringContaining('runs as root and does not need to')];
  expect(rootWarnings(load({}), 0)).toEqual(warning);
  expect(rootWarnings(load({ PORT: '0' }), 0)).toEqual(warning);
  expect(rootWarnings(load({ PORT: '443', ROLES: 'projector' }), 0)).toEqual(warning);
  expect([
    rootWarnings(load({ PORT: '443' }), 0),
    rootWarnings(load({}), 1_000),
    rootWarnings(load({}), undefined),
  ]).toEqual([[], [], []]);
  expect(rootWarnings(load({ HEALTH_PORT: '80', ROLES: 'projector' }), 0)).toEqual([]);
});
