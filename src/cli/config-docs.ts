import { writeFileSync } from 'node:fs';
import { type DescribedSetting as Setting, describeSettings } from '../config.ts';
import { backoffBounds, refusalBounds, STRATEGIES, type Strategy } from '../jobs/backoff.ts';

const MADE_BY = 'Made by `node src/cli/config-docs.ts` from `src/config.ts`: change it there.';

const TLS_MODES = [
  ['`PGSSLMODE`', 'encrypted', 'the server must prove'],
  ['`disable`', 'no', 'nothing'],
  ['`prefer`', 'if the server offers it when the process starts', 'nothing'],
  ['`require`', 'yes', 'nothing without `PGSSLROOTCERT`; with it, as `verify-ca`'],
  ['`verify-ca`', 'yes', 'that an authority in `PGSSLROOTCERT` signed its certificate'],
  ['`verify-full`', 'yes', 'the same, and that the certificate is for `PGHOST`'],
] as const;

/** `docs/reference/configuration.md`. */
export function configurationPage(settings: readonly Setting[] = describeSettings()): string {
  const row = ({ name, fallback, about }: Setting) =>
    [`\`${name}\``, fallback === undefined ? '' : code(fallback), cell(about)] as const;
  return `# Configuration

<!-- ${MADE_BY} -->

Every setting is an environment variable. A file \`.env\` in the working directory is read too; the environment wins.
An empty value counts as not given. A wrong or missing value is one clear line, and the process ends with code 1.

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

## When something is tried again

An attempt at a job that fails is followed by another one after a pause, until \`JOB_ATTEMPTS\` have failed. A request can say for its job how
many \`attempts\` there may be, and by which \`backoff\` they follow: \`exponential\` (the default: any part of a time that doubles, so that those that
failed together do not come back together; half of it on average), \`fixed\` (always \`JOB_BACKOFF_SECONDS\`) or \`none\`. Without other settings:

${table(attemptTimes(settings))}

A mail whose recipient the mail server refuses for now (greylisting, a full mailbox: 4xx in answer to \`RCPT TO\` or \`DATA\`) is tried again for
\`MAIL_RETRY_HOURS\` from the first refusal on, each pause up to a fifth longer than its least, and a last time when they are over, or up to two minutes later. That is no attempt, holds no
place of a worker, and survives its restart. Of a batch the other mails go out meanwhile. A job whose mail is put off has not ended: for so long it is one
of its account's \`JOBS_UNFINISHED\`.

${table(refusalTimes())}

While a breaker is open nothing is begun that needs its provider: that is no attempt either.

## What is not configured

| what                                                                                      | limit                                             |
| ----------------------------------------------------------------------------------------- | ------------------------------------------------- |
| an answer that is read before its status is sent                                          | 256 kB                                            |
| longer answers at once, of one address and of a process; a place is waited for            | 8, 256; 10 s, then 503                            |
| bodies above \`BODY_BYTES\` at once, of one account and of a process; a place is waited for | 4, 32; 10 s, then 503                             |
| covers sent at once, from one address and to a process; a place is waited for             | 5, 64; 10 s, then 503                             |
| files read at once, by one address and of a process: covers, and others; a place as above | 16, 400; 10 s, then 503                           |
| requests at once that ask which files can be had, of one account and of a process         | 2, 10; 10 s, then 503                             |
| jobs followed at once, by one account and in a process                                    | 50, 1,000; then 503                               |
| what a /48 of IPv6 has of all that an address has                                         | ten times as much, but at most half of all        |
| a client that takes nothing of an answer                                                  | is cut after 20 s                                 |
| a client that goes on sending after it was answered                                       | is cut after 2 s                                  |
| requests that a client sends before it has read an answer                                 | 11, handled one after the other; more are cut     |
| connections to Postgres that read lists                                                   | 4 for their first rows, 2 for the rest, of the 10 |
| of these for one address; one is waited for, addresses in turn                            | 3 and 1; 10 s, then 503                           |

## What one setting asks of others

- Without \`KAFKA_BROKERS\` the log is embedded: it lives in Postgres, and one process at a time writes it.
- With \`KAFKA_BROKERS\` the following must be set as well: \`PGHOST\`, \`REDIS_URL\` or \`REDIS_SERVER\`,
  \`IDEMPOTENCY_HASH_KEY\`, \`ACCESS_TOKEN_KEY\`, \`REFRESH_TOKEN_KEY\` and \`LINK_KEY\`. All processes must have the same keys.
- A key is changed without logging anybody out: the old one becomes \`…_PREVIOUS\` for as long as its tokens live.
- With several API processes \`FILES_PROVIDER=disk\` needs a \`DATA_DIR/files\` that they share.
- \`KAFKA_FLUSH\` counts the brokers that \`KAFKA_BROKERS\` names, not those of the cluster. It matters only when the topics
  are made.
- \`HEALTH_PORT\` does nothing in a process with the role \`api\`, which answers probes on \`PORT\`.
- No transaction pooler may stand between OpenMusic and Postgres: it relies on sessions (locks, prepared statements).
`;
}

/** `.env.example`: every setting, commented out, with what it is without it. */
export function envExample(settings: readonly Setting[] = describeSettings()): string {
  const entry = ({ name, fallback = '', about, file }: Setting) =>
    `# ${about}\n#${name}=${fallback}\n${file ? `#${file}=\n` : ''}`;
  return [
    `# ${MADE_BY}`,
    '# Copy it to .env and take the # away from what you want to change. None of it is needed for `npm start`.',
    '',
    ...settings.map(entry),
  ].join('\n');
}

/** Each attempt with the time since the first one failed, not counting how long attempts take. */
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

/** Of the first so many pauses together. */
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

/** Aligned as Prettier does, so that the page passes it. */
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
