import { writeFileSync } from 'node:fs';
import { type DescribedSetting as Setting, describeSettings } from '../config.ts';
import { backoffBounds, refusalBounds, STRATEGIES, type Strategy } from '../jobs/backoff.ts';

const MADE_BY = 'Made by `npm run providers` from `src/config.ts` and the files of `src/providers`: change it there.';

const TLS_MODES = [
  ['`PGSSLMODE`', 'encrypted', 'the server must prove'],
  ['`disable`', 'no', 'nothing'],
  ['`prefer`', 'if the server offers it when the process starts', 'nothing'],
  ['`require`', 'yes', 'nothing without `PGSSLROOTCERT`; with it, as `verify-ca`'],
  ['`verify-ca`', 'yes', 'that an authority in `PGSSLROOTCERT` signed its certificate'],
  ['`verify-full`', 'yes', 'the same, and that the certificate is for `PGHOST`'],
] as const;

const LIMITS = [
  ['what', 'limit'],
  ['size of an answer that is read before its status is sent', '256 kB'],
  ['longer answers at the same time, of one address and of a process; others wait', '8, 256; 10 s, then 503'],
  ['bodies above `BODY_BYTES` at the same time, of one account and of a process; others wait', '4, 32; 10 s, then 503'],
  ['covers sent at the same time, from one address and to a process; others wait', '5, 64; 10 s, then 503'],
  [
    'files read at the same time, by one address and of a process: covers, and other files; others wait',
    '16, 400; 10 s, then 503',
  ],
  [
    'requests at the same time that ask which files are available, of one account and of a process',
    '2, 10; 10 s, then 503',
  ],
  ['jobs followed at the same time, by one account and in a process', '50, 1,000; then 503'],
  ['share of a /48 of IPv6 in everything that an address may have', 'ten times as much, but at most half of all'],
  ['time in which a client reads nothing of an answer', '20 s, then it is cut'],
  ['time in which a client goes on sending after it was answered', '2 s, then it is cut'],
  [
    'requests that a client sends before it has read an answer',
    '11, handled one after the other; a client that sends more is cut',
  ],
  ['connections to Postgres that read lists', '4 for their first rows, 2 for the rest, of the 10'],
  ['of these for one address; it waits for one, and addresses take turns', '3 and 1; 10 s, then 503'],
] as const;

const retriesSection = (settings: readonly Setting[]): string => `## When something is tried again

An attempt at a job that fails is followed by another one after a pause, until \`JOB_ATTEMPTS\` have failed. A request can say for its job how
many \`attempts\` it may have, and by which \`backoff\` they follow: \`exponential\` (the default: any part of a time that doubles, so that those that
failed together are not retried together; half of it on average), \`fixed\` (always \`JOB_BACKOFF_SECONDS\`) or \`none\`. Without other settings:

${table(attemptTimes(settings))}

A mail whose recipient the mail server defers (greylisting, a full mailbox: 4xx in answer to \`RCPT TO\` or \`DATA\`) is retried for
\`MAIL_RETRY_HOURS\` from the first refusal on. Each pause is up to a fifth longer than its least. The last retry comes at the end of these hours, or up to two minutes later. A retry is no attempt, holds no
place of a worker, and survives a restart. The other mails of a batch are sent meanwhile. A job whose mail is deferred has not ended: until then it is one
of its account's \`JOBS_UNFINISHED\`.

${table(refusalTimes())}

While a breaker is open no job starts that needs its provider. That is no attempt either.

`;

/** The text of `docs/reference/configuration.md`. */
export function configurationPage(settings: readonly Setting[] = describeSettings()): string {
  const row = ({ name, fallback, about }: Setting) =>
    [`\`${name}\``, fallback === undefined ? '' : code(fallback), cell(about)] as const;
  return `# Configuration

<!-- ${MADE_BY} -->

Every setting is an environment variable. A file \`.env\` in the working directory is read too; the environment wins.
An empty value counts as not given. A wrong or missing value is reported in one line, and the process ends with code 1.

${table([['name', 'default', 'meaning'], ...settings.map(row)])}

## Secrets as files

A secret can be given as the path of a file that holds it, as Docker and Kubernetes hand out theirs: \`PGPASSWORD_FILE\` instead
of \`PGPASSWORD\`. A newline at the end of the file is not part of the secret. To set both is an error, and so is a file that is empty
or cannot be read. There are:
${settings
  .flatMap(({ file }) => file ?? [])
  .map(code)
  .join(',\n')}.

## TLS to Postgres

${table(TLS_MODES)}

The default is \`disable\`, where libpq has \`prefer\`.

${retriesSection(settings)}## What is not configured

${table(LIMITS)}

## Settings that require others

- Without \`KAFKA_BROKERS\` the log is embedded: it lives in Postgres, and one process at a time writes it.
- \`KAFKA_BROKERS\` also requires \`PGHOST\`, \`REDIS_URL\` or \`REDIS_SERVER\`,
  \`IDEMPOTENCY_HASH_KEY\`, \`ACCESS_TOKEN_KEY\`, \`REFRESH_TOKEN_KEY\` and \`LINK_KEY\`. All processes must have the same keys.
- To change a key without logging out any user, set the old one as \`…_PREVIOUS\` until its tokens have expired.
- With several API processes \`FILES_PROVIDER=disk\` needs a shared \`DATA_DIR/files\`.
- \`KAFKA_FLUSH\` counts the brokers that \`KAFKA_BROKERS\` names, not those of the cluster. It only matters when the topics
  are created.
- \`HEALTH_PORT\` does nothing in a process with the role \`api\`, which answers probes on \`PORT\`.
- No transaction pooler may stand between OpenMusic and Postgres: it relies on sessions (locks, prepared statements).
`;
}

/** The text of `.env.example`: every setting, commented out, with its default. */
export function envExample(settings: readonly Setting[] = describeSettings()): string {
  const entry = ({ name, fallback = '', about, file }: Setting) =>
    `# ${about}\n#${name}=${fallback}\n${file ? `#${file}=\n` : ''}`;
  return [
    `# ${MADE_BY}`,
    '# Copy it to .env and remove the # of the settings that you change. `npm start` needs none of them.',
    '',
    ...settings.map(entry),
  ].join('\n');
}

/** Gives a row for each attempt: the time since the first one failed, without the time that attempts take. */
function attemptTimes(settings: readonly Setting[]): string[][] {
  const numberOf = (name: string) => Number(settings.find((setting) => setting.name === name)?.fallback);
  const [firstMs, maxMs] = [numberOf('JOB_BACKOFF_SECONDS') * 1_000, numberOf('JOB_BACKOFF_MOST_SECONDS') * 1_000];
  const after = (strategy: Strategy, failed: number) =>
    `${sumOf(failed, (nth) => backoffBounds({ firstMs, maxMs, strategy }, nth), 1_000)} s`;
  const rows = upTo(numberOf('JOB_ATTEMPTS') - 1).map((failed) => [
    String(failed + 1),
    ...STRATEGIES.map((strategy) => after(strategy, failed)),
  ]);
  return [['attempt, after the first has failed', ...STRATEGIES.map(code)], ...rows];
}

const REFUSALS_SHOWN = 7;

function refusalTimes(): string[][] {
  const rows = upTo(REFUSALS_SHOWN).map((refusals) => [
    String(refusals),
    `${rangeOf(refusalBounds(refusals), 60_000)} min`,
    `${sumOf(refusals, refusalBounds, 60_000)} min`,
  ]);
  return [['refusal', 'pause after it', 'since the first'], ...rows, ['further ones', rows.at(-1)?.[1] ?? '', '']];
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

type Bounds = ReturnType<typeof refusalBounds>;

/** The sum of the first pauses. */
function sumOf(count: number, boundsOf: (nth: number) => Bounds, unitMs: number): string {
  const all = upTo(count).map(boundsOf);
  const sum = (end: keyof Bounds) => all.reduce((total, bounds) => total + bounds[end], 0);
  return rangeOf({ minMs: sum('minMs'), maxMs: sum('maxMs') }, unitMs);
}

function rangeOf({ minMs, maxMs }: Bounds, unitMs: number): string {
  const [least, most] = [minMs, maxMs].map((ms) => String(Math.round((ms / unitMs) * 10) / 10));
  return least === most ? `${least}` : `${least} to ${most}`;
}

const code = (text: string): string => (text === '' ? 'empty' : `\`${text}\``);
const cell = (text: string): string => text.replaceAll('|', '\\|');

/** Makes a table with Prettier's alignment, because the page is checked by Prettier. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, at) => (row[at] ?? '').padEnd(width)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

if (import.meta.main) {
  const root = new URL('../../', import.meta.url);
  writeFileSync(new URL('docs/reference/configuration.md', root), configurationPage());
  writeFileSync(new URL('.env.example', root), envExample());
}
