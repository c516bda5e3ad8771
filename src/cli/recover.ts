import type { Faults } from '../faults.ts';
import { readIdentity } from '../log/identity.ts';
import { refusalOf } from '../log/ownership.ts';
import { inspectLog, LogRefused } from '../log/topics.ts';
import { type ServerLock, takeServerLock } from '../postgres/server-lock.ts';
import { sessionsInUse } from '../recovery/consumers.ts';
import { readRecovery, type Recovery, WAYS, type Way } from '../recovery/note.ts';
import { goOn, recover, type RecoverOptions, waysOf } from '../recovery/recover.ts';
import { describeSurvey, describeWay } from '../recovery/report.ts';
import { type Survey, surveyLog } from '../recovery/survey.ts';
import { appendingLog } from './appending-log.ts';
import { reportLog } from './log.ts';
import { typed } from './typed.ts';
import type { Output } from './print.ts';
import { type CommandContext, withResources } from './with-resources.ts';

export interface RecoverCommandOptions {
  /** The answer, instead of typing it. */
  readonly answer?: string;
  /** Base of the API of a running server with an embedded log; the public one unless it is given. */
  readonly url?: string;
}

/** Exit code 1 when nothing was changed because of the answer or the findings, 2 when the log has faults at the end. */
export function logRecover(options: RecoverCommandOptions, faults: Faults = {}): Promise<number> {
  return withResources({ as: 'writer' }, async (context) => {
    const lock = await lockRecovery(context);
    try {
      return await recoverUnder(context, options, faults);
    } finally {
      await lock.stop();
    }
  });
}

async function lockRecovery({ connection, config }: CommandContext): Promise<ServerLock> {
  const lock = await takeServerLock(connection, `${config.NAMESPACE}.recovery`);
  if (!lock) throw new Error('Another process is recovering the log of this namespace.');
  return lock;
}

async function recoverUnder(context: CommandContext, options: RecoverCommandOptions, faults: Faults): Promise<number> {
  const { admin, placement, print } = context;
  await mustOwn(context);
  const log = await appendingLog(context, options.url);
  // A log that it creates has the same owner as one that `log init` creates.
  const work: RecoverOptions = { log, admin, placement, faults, owner: context.me ?? null };
  const unfinished = await readRecovery(admin);
  if (unfinished) return finish(context, work, unfinished);
  const survey = await surveyLog(work);
  describeSurvey(survey).forEach(print);
  const ways = waysOf(survey);
  if (ways.length === 0) return survey.kind === 'equal' ? reportLog(context) : 1;
  ways.flatMap((way) => describeWay(way, survey)).forEach(print);
  const way = await ask(ways, options.answer, print);
  if (way === undefined) return unchanged(survey, print);
  await mustBeAlone(context, way);
  await recover(work, way);
  return done(context, way);
}

/** Only the owner of a broker's log may change it, and only a log that the owner created may replace the one it knew. */
async function mustOwn({ log, admin, placement, me, config }: CommandContext): Promise<void> {
  if (config.READ_ONLY === 'on') throw new Error('A follower (READ_ONLY=on) recovers no log.');
  if (!me) return;
  const visitor = { me, readOnly: false };
  const identity = await readIdentity(admin);
  const { incarnations, madeBy } = await inspectLog(log, placement);
  const isForeign = [...incarnations.values()].some((incarnation) => incarnation !== identity?.incarnation);
  const refusal = refusalOf(visitor, identity, undefined) ?? (isForeign && refusalOf(visitor, undefined, madeBy));
  if (refusal) throw new LogRefused([refusal]);
}

async function finish(context: CommandContext, work: RecoverOptions, recovery: Recovery): Promise<number> {
  context.print(`Continuing the recovery that began at ${recovery.begunAt.toISOString()}: ${recovery.way}.`);
  await mustBeAlone(context, recovery.way);
  await goOn(work, recovery);
  return done(context, recovery.way);
}

function unchanged({ kind }: Survey, print: Output): number {
  print('Nothing was changed.');
  return kind === 'ahead' ? 0 : 1;
}

/** Other processes would append meanwhile, or answer from tables that are being dropped. */
async function mustBeAlone({ admin, placement, isWritable }: CommandContext, way: Way): Promise<void> {
  if (!isWritable) {
    if (way === 'append') return;
    throw new Error(`A server runs on this log. Stop it, and run the command again: only \`append\` goes through it.`);
  }
  const sessions = await sessionsInUse(admin, placement);
  if (sessions === 0) return;
  throw new Error(
    `OpenMusic processes use this database (${sessions} sessions). Stop all of them, and run the command again.`,
  );
}

async function done(context: CommandContext, way: Way): Promise<number> {
  const code = await reportLog(context);
  const makesAnew = way === 'anew' || way === 'follow';
  context.print(
    makesAnew
      ? 'Recovered. Start the processes: the projector rebuilds the read models from the whole log.'
      : 'Recovered. Start the processes that are not running.',
  );
  return code;
}

/** The word that was typed, if it is one of the choices. */
async function ask(ways: readonly Way[], given: string | undefined, print: Output): Promise<Way | undefined> {
  const text = `Type ${ways.join(' or ')}. Anything else changes nothing.`;
  const word = await typed({ text, given, flag: '--answer <word>' }, print);
  return WAYS.find((way) => ways.includes(way) && way === word);
}
