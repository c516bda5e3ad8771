import { availableParallelism } from 'node:os';
import { type Comparison, type Figure, type Plan, type Series } from '../figure.ts';
import { type Loader, startLoader } from '../load/loader.ts';
import { createAlbum, createdId, post } from '../requests.ts';
import { embedded } from '../shapes.ts';
import { startStack } from '../stack.ts';
import { summarise } from '../statistics.ts';
import { type Contestant, notesOf, type Sample, seriesOf, takeTurns } from '../turns.ts';

/** Connections that log in again and again. */
const LOGINS = 16;
/** Connections that read meanwhile. */
const READS = 4;
/** Logins of each kind in one turn. */
const TRIES = 50;
const CORES = availableParallelism();

const VERIFY = 'argon2 verify alone';
const CALM = 'without logins';
const chris = { username: 'chris', password: 'secret' };
const WRONG = { ...chris, password: 'wrong!' };
const UNKNOWN = { username: 'unknown', password: 'wrong!' };

export const login: Figure = {
  name: 'login',
  about: 'POST /authentications, passwords kept as argon2id (19 MiB, 2 passes, 1 lane)',
  method: `Nothing here depends on the log, so it is measured in the embedded shape, without rate limits. *Logins*: the same user logs in over
${LOGINS} connections; the number is divided by all cores of the machine. *${VERIFY}* is the same work without HTTP and Postgres, one at a time
on each core, divided alike. One core is left to everything else, so of N cores a process uses N − 1, and never more than three. *Reads*: an album is read over ${READS} connections, with
and without ${LOGINS} connections that log in meanwhile. *Unknown user*: ${TRIES} logins of an unknown user and ${TRIES} with a wrong password, in turns, one after the
other; the figure is how far their medians are apart.`,
  overHttp: false,
  async run(plan) {
    const stack = await startStack({
      ...embedded,
      settings: { RATE_LOGIN: 'off', RATE_FAILURES: 'off', RATE_REGISTER: 'off' },
    });
    const loaders = [startLoader(plan), startLoader(plan)] as const;
    try {
      createdId(await post(stack.url, '/users', { ...chris, fullname: 'Chris Martin' }));
      const path = `/albums/${createdId(await createAlbum(stack.url))}`;
      const subject = { url: stack.url, path, logins: loaders[0], reads: loaders[1] };
      return [await rate(subject, plan), await slowdown(subject, plan), await difference(subject, plan)];
    } finally {
      await Promise.all(loaders.map((loader) => loader.stop()));
      await stack.stop();
    }
  },
};

interface Subject {
  readonly url: string;
  /** The path of an album. */
  readonly path: string;
  readonly logins: Loader;
  readonly reads: Loader;
}

const logIn = ({ url, logins }: Subject) =>
  logins.run({
    kind: 'http',
    method: 'POST',
    paths: ['/authentications'],
    url,
    connections: LOGINS,
    body: JSON.stringify(chris),
  });

const read = ({ url, path, reads }: Subject) =>
  reads.run({ kind: 'http', method: 'GET', paths: [path], url, connections: READS });

async function rate(subject: Subject, plan: Plan): Promise<Comparison> {
  const alone = () => subject.logins.run({ kind: 'verify', workers: CORES });
  const perCore = async (run: ReturnType<typeof logIn>): Promise<Sample> => {
    const result = await run;
    return { ...result, perSecond: result.perSecond / CORES };
  };
  const contestants: Contestant[] = [
    { name: 'logins', run: () => perCore(logIn(subject)) },
    { name: VERIFY, run: () => perCore(alone()) },
  ];
  plan.say(`logins a second and core, on ${CORES} cores`);
  const outcomes = await takeTurns(contestants, plan);
  const [ours, limit] = bothOf(outcomes.map((outcome) => seriesOf(outcome, 'perSecond')));
  const title = 'logins per second and core';
  return { title, unit: '/s', ours, limits: [limit], asked: [{ atLeast: 15 }], notes: notesOf(outcomes) };
}

async function slowdown(subject: Subject, plan: Plan): Promise<Comparison> {
  const storm = async (): Promise<Sample> => {
    const [result] = await Promise.all([read(subject), logIn(subject)]);
    return { ...result };
  };
  const contestants: Contestant[] = [
    { name: 'while others log in', run: storm },
    { name: CALM, run: async () => ({ ...(await read(subject)) }) },
  ];
  plan.say(`GET ${subject.path}`);
  for (const { run } of contestants) await run(); // to warm up
  const outcomes = await takeTurns(contestants, plan);
  const [ours, limit] = bothOf(outcomes.map((outcome) => seriesOf(outcome, 'p99Ms')));
  const asked = [{ limit: CALM, atMost: 2 }];
  return { title: 'GET /albums/{id}, p99', unit: 'ms', ours, limits: [limit], asked, notes: notesOf(outcomes) };
}

async function difference({ url }: Subject, plan: Plan): Promise<Comparison> {
  plan.say('an unknown user, and a wrong password');
  const contestant = { name: 'difference of the medians', run: () => compareRefusals(url, plan.quick ? 5 : TRIES) };
  const outcomes = await takeTurns([contestant], plan);
  const [differences, unknown, wrong] = (['differenceMs', 'unknownMs', 'wrongMs'] as const).map((key) =>
    outcomes.map((outcome) => seriesOf(outcome, key)).flatMap(({ values }) => values),
  );
  const ours = { name: contestant.name, values: differences ?? [] };
  const middle = (values: readonly number[] = []) => `${summarise(values).median.toFixed(1)} ms`;
  const notes = [`medians: unknown user ${middle(unknown)}, wrong password ${middle(wrong)}`];
  return { title: 'unknown user against wrong password', unit: 'ms', ours, limits: [], asked: [{ atMost: 5 }], notes };
}

/** Alternates, so that changes of the machine's speed affect both. */
async function compareRefusals(url: string, tries: number): Promise<Sample> {
  const took = { unknown: new Array<number>(), wrong: new Array<number>() };
  for (let n = 0; n < tries; n++) {
    const pair = [
      async () => took.unknown.push(await refusal(url, UNKNOWN)),
      async () => took.wrong.push(await refusal(url, WRONG)),
    ];
    for (const each of n % 2 === 0 ? pair : pair.toReversed()) await each();
  }
  const [unknownMs, wrongMs] = [summarise(took.unknown).median, summarise(took.wrong).median];
  return { unknownMs, wrongMs, differenceMs: Math.abs(unknownMs - wrongMs) };
}

/** Milliseconds to a 401. */
async function refusal(url: string, credentials: object): Promise<number> {
  const began = performance.now();
  const { status, text } = await post(url, '/authentications', credentials);
  if (status !== 401) throw new Error(`not refused: ${status} ${text}`);
  return performance.now() - began;
}

function bothOf([ours, limit]: readonly Series[]): [Series, Series] {
  if (!ours || !limit) throw new Error('Nothing was measured.');
  return [ours, limit];
}
