import { setTimeout as delay } from 'node:timers/promises';
import { accounts, tokenOf } from '../accounts.ts';
import { openServedGeneration } from '../served-generation.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { startJobs } from '../jobs.ts';
import type { Mailing } from '../mailer.ts';
import { type Child, startChild } from '../processes.ts';
import { createSong, SONG, times } from '../requests.ts';
import { forJobs, type Shape, unflushed } from '../shapes.ts';
import type { SmtpQuestion, Taken } from '../smtp-server.ts';
import { type Stack, startStack } from '../stack.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { comparisonOf } from '../writes.ts';
import { writePlaylists } from '../written.ts';
import { messageIdOf } from '../../src/jobs/message-id.ts';
import type { Mail } from '../../src/providers/mail/mail.ts';

const CONNECTIONS = 20;
const CONCURRENCY = 256;
const MAILS = 10_000;
const QUICK_MAILS = 100;
const ACCOUNTS = 10;
const PLAYLISTS = 1_000;
const QUICK_PLAYLISTS = 20;
const SONGS = 50;
const ONE = 'ours, one playlist';
const MANY = 'ours, many playlists';
const READY = 'ready-made messages by the same pool';
const ASKED = 0.4;

export const jobsMails: Figure = {
  name: 'jobs-mails',
  about: 'exports of playlists, mailed after all of them were accepted',
  method: `A mail server in a process of its own allows ${CONNECTIONS} connections. Of playlists with ${SONGS} songs exports are accepted while no
exporter runs: in one turn all of the same playlist, in the next of ${PLAYLISTS.toLocaleString('en')} playlists in turn. Then a process with the role
\`exporter\` is started (\`SMTP_CONNECTIONS=${CONNECTIONS} WORKER_CONCURRENCY=${CONCURRENCY}\`). *${READY}*: a new process has as many mails with
the same attachment in memory, and sends them by the product's own pool over as many connections. Rates are of the mails that the
server has taken, after the first fifth. All turns together send ${MAILS.toLocaleString('en')} mails or more of each kind; if one is not taken, or is
taken twice, by its Message-ID, the figure fails.`,
  overHttp: false,
  async run(plan) {
    if (!isWanted(plan, unflushed.name)) return [];
    plan.say(`${unflushed.name}: starting`);
    const server = startChild('bench/smtp-server.ts');
    try {
      const question: SmtpQuestion = { question: 'listen', connections: CONNECTIONS };
      const port = (await server.ask(question)) as number;
      return await withStack(shapeFor(port), (stack) => compare({ stack, server, port }, plan));
    } finally {
      await server.stop();
    }
  },
};

const shapeFor = (port: number): Shape =>
  forJobs(unflushed, {
    SMTP_HOST: '127.0.0.1',
    SMTP_PORT: String(port),
    SMTP_CONNECTIONS: String(CONNECTIONS),
    WORKER_CONCURRENCY: String(CONCURRENCY),
  });

async function withStack<T>(shape: Shape, work: (stack: Stack) => Promise<T>): Promise<T> {
  const stack = await startStack(shape);
  try {
    return await work(stack);
  } finally {
    await stack.stop();
  }
}

interface Subject {
  readonly stack: Stack;
  readonly server: Child;
  readonly port: number;
}

async function compare(subject: Subject, plan: Plan): Promise<Comparison[]> {
  const owners = accounts(ACCOUNTS);
  const playlists = await preparePlaylists(subject.stack, owners, plan);
  const count = plan.quick ? QUICK_MAILS : Math.ceil(MAILS / plan.rounds);
  const exporting = { ...subject, count, tokens: owners.map(tokenOf) };
  const [one, many, ready] = await takeTurns(
    [
      exporter(ONE, { ...exporting, playlists: playlists.slice(0, 1) }),
      exporter(MANY, { ...exporting, playlists }),
      mailer(subject, count),
    ],
    plan,
  );
  if (!one || !many || !ready) throw new Error('Nothing was measured.');
  const asked = [{ limit: READY, atLeast: ASKED }];
  const sent = `${(count * plan.rounds).toLocaleString('en')} mails, none lost, none twice`;
  return [one, many].map((ours) => {
    const comparison = comparisonOf(
      `${unflushed.name}, ${ours.name.replace('ours, ', 'exports of ')}`,
      [ours, ready],
      'perSecond',
      asked,
    );
    return { ...comparison, notes: [sent] };
  });
}

async function preparePlaylists(stack: Stack, accounts: readonly string[], { quick, say }: Plan): Promise<string[]> {
  say(`${unflushed.name}: preparing playlists`);
  const generation = await openServedGeneration(stack.connection);
  try {
    const songs = await times(SONGS, () => createSong(stack.url));
    const count = quick ? QUICK_PLAYLISTS : PLAYLISTS;
    const owners = Array.from({ length: count }, (_, n) => accounts[n % accounts.length] ?? '');
    return await writePlaylists({ ...stack, generation }, owners, songs);
  } finally {
    await generation.close();
  }
}

interface Exporting extends Subject {
  readonly playlists: readonly string[];
  /** The access tokens of the owners of the playlists, in turn. */
  readonly tokens: readonly string[];
  readonly count: number;
}

/** Lets exports be accepted, and then mailed. */
function exporter(name: string, { stack, server, playlists, tokens, count }: Exporting): Contestant {
  const recipientOf = (n: number) => `listener${n}@example.com`;
  const startOf = (n: number) => {
    const nth = n % playlists.length;
    const token = tokens[nth % tokens.length] ?? '';
    return { path: `/export/playlists/${playlists[nth]}`, body: { targetEmail: recipientOf(n) }, token };
  };
  return {
    name,
    async run() {
      const jobIds = await startJobs(
        stack.url,
        Array.from({ length: count }, (_, n) => startOf(n)),
      );
      const expected = jobIds.map((jobId, n) => messageIdOf(jobId, recipientOf(n)));
      const process = await stack.launch('exporter');
      try {
        return { perSecond: rateOf(await untilTaken(server, expected, process)) };
      } finally {
        await process.stop();
      }
    },
  };
}

const LOOK_EVERY_MS = 100;
const PATIENCE_MS = 60_000;

/** Resolves when the server has taken each of these mails, and no other. */
async function untilTaken(
  server: Child,
  expected: readonly string[],
  { output }: Pick<Child, 'output'>,
): Promise<Taken[]> {
  const missing = new Set(expected);
  const all: Taken[] = [];
  for (let lastMs = performance.now(); missing.size > 0;) {
    await delay(LOOK_EVERY_MS);
    const question: SmtpQuestion = { question: 'taken' };
    const taken = (await server.ask(question)) as Taken[];
    for (const { messageId } of taken) {
      if (!missing.delete(messageId)) throw new Error(`${messageId} was received twice, or was not requested`);
    }
    if (taken.length > 0) lastMs = performance.now();
    else if (performance.now() - lastMs > PATIENCE_MS) throw new Error(`${missing.size} mails were lost:\n${output()}`);
    all.push(...taken);
  }
  return all;
}

/** The first fifth does not count, because a new process is slow until its code is compiled. */
const BEGIN = 0.2;

/** Mails per second, of those after the first fifth. */
function rateOf(taken: readonly Taken[]): number {
  const first = Math.floor(BEGIN * taken.length);
  const ms = (taken.at(-1)?.ms ?? NaN) - (taken[first]?.ms ?? NaN);
  return ((taken.length - 1 - first) / ms) * 1_000;
}

/** An attachment as long as ours. */
const ATTACHMENT = Buffer.from(
  JSON.stringify({
    playlist: {
      id: 'playlist-01a205107e7f77bba2b95a3d32e228ab',
      name: 'Morning',
      songs: Array.from({ length: SONGS }, () => ({
        id: 'song-01a205107e7f77bba2b95a3d32e228ab',
        title: SONG.title,
        performer: SONG.performer,
      })),
    },
  }),
);

let sent = 0;

const readyMade = (): Mail => ({
  messageId: `ready-made.${sent++}@openmusic`,
  to: `listener${sent}@example.com`,
  subject: 'Your playlist',
  body: 'The playlist that you asked for is attached.',
  attachments: [
    { name: 'playlist-01a205107e7f77bba2b95a3d32e228ab.json', mediaType: 'application/json', content: ATTACHMENT },
  ],
});

function mailer({ server, port }: Subject, count: number): Contestant {
  return {
    name: READY,
    async run() {
      const mailing: Mailing = { port, connections: CONNECTIONS, mails: Array.from({ length: count }, readyMade) };
      const child = startChild('bench/mailer.ts');
      try {
        await child.ask(mailing);
        return {
          perSecond: rateOf(
            await untilTaken(
              server,
              mailing.mails.map(({ messageId }) => messageId),
              child,
            ),
          ),
        };
      } finally {
        await child.stop();
      }
    },
  };
}
