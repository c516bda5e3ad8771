import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { queuedJob, repeatOf } from '../../test/support/jobs.ts';
import type { CommandOutcome, CommandRequest } from '../commands/command.ts';
import { job as decider, type JobCommand, type JobContext } from '../commands/job.ts';
import { AppError, unavailable } from '../errors.ts';
import { newId } from '../events/ids.ts';
import type { JobEvent, JobRequest } from '../events/jobs.ts';
import { nextTime } from '../jobs/cron.ts';
import type { QueuedJob } from '../jobs/leases.ts';
import type { Rights } from '../jobs/owner-rights.ts';
import type { LeftAlone } from '../jobs/in-flight.ts';
import { createOccurrences } from './scheduler.ts';

type Fault = 'none' | 'before' | 'after' | 'throws' | 'throws after';
type Request = CommandRequest<JobCommand, JobContext | undefined>;

/** The write side as one process that never loses a race: streams in memory, and the decider that is. */
function handMadeCommands() {
  const streams = new Map<string, { readonly commandId: string; readonly event: JobEvent }[]>();
  const faults: Fault[] = [];
  const stream = (name: string) => streams.get(name) ?? [];

  async function decide({ stream: name, command, origin, expectedVersion, context }: Request): Promise<CommandOutcome> {
    const records = stream(name);
    const same = records.findIndex(({ commandId }) => commandId === origin.commandId);
    if (same >= 0) return { recordId: newId(), version: same + 1, replayed: true };
    const state = records.reduce((folded, { event }) => decider.evolve(folded, event), decider.initial);
    const event = decider.decide(name, command, state, await context?.(records.length));
    if (Array.isArray(expectedVersion) && !expectedVersion.includes(records.length))
      throw new AppError('stale', 'PRECONDITION_FAILED', 'It was changed since.');
    streams.set(name, [...records, { commandId: origin.commandId, event }]);
    return { recordId: newId(), version: records.length + 1, replayed: false };
  }

  return {
    streams,
    /** What becomes of the next commands, one each. */
    faults,
    stream,
    async job(request: Request): Promise<CommandOutcome> {
      const fault = faults.shift() ?? 'none';
      if (fault === 'before') throw unavailable('LOG_UNAVAILABLE', 'not now');
      if (fault === 'throws') throw new Error('the connection broke');
      const outcome = await decide(request);
      if (fault === 'after') throw unavailable('OUTCOME_UNKNOWN', 'who knows');
      if (fault === 'throws after') throw new Error('the connection broke');
      return outcome;
    },
  };
}

const FIRST = '2026-03-28T08:00:00.000Z';
const DAILY = { cron: '0 9 * * *', timeZone: 'Europe/Berlin' };
const LIMITED = { cron: '0 9 28-29 3 *', timeZone: 'Europe/Berlin' };

const ADMIN: Rights = { isAdmin: true, isLocked: false };
const USER: Rights = { isAdmin: false, isLocked: false };
const LOCKED: Rights = { isAdmin: false, isLocked: true };

/** `now`: when those who work on it look at the clock. */
interface Circumstances {
  readonly missed: string;
  readonly now: string;
  readonly mustHaveRoom: () => Promise<void>;
  readonly rights: Rights;
  readonly parent: Partial<QueuedJob>;
}

/** A repeating job that somebody asked for, and those who work on it. */
async function startRepeating(
  repeat: { cron: string; timeZone: string } = DAILY,
  {
    missed = 'run-once',
    now = FIRST,
    mustHaveRoom = () => Promise.resolve(),
    rights = ADMIN,
    parent: more = {},
  }: Partial<Circumstances> = {},
) {
  const commands = handMadeCommands();
  const timeOf = (jobId: string) => {
    const [first] = commands.stream(jobId);
    return Promise.resolve(first?.event.type === 'JobRequested' ? new Date(first.event.request.runAt!) : undefined);
  };
  const rightsOf = () => Promise.resolve(rights);
  const given = { commands, timeOf, mustHaveRoom, rightsOf, logger: pino({ level: 'silent' }) };
  /** Those who work on it at that time. */
  const occurrencesAt = (time: string) => createOccurrences({ ...given, now: () => Date.parse(time) });
  const occurrences = occurrencesAt(now);
  const parent = queuedJob({
    repeatCron: repeat.cron,
    repeatZone: repeat.timeZone,
    repeatMissed: missed,
    payloadId: 'job-1',
    provider: 'smtp',
    ...more,
  });
  const {
    jobId,
    jobType,
    ownerId,
    parameters,
    payloadId,
    provider,
    total,
    allowed: attempts,
    backoff,
    priority,
  } = parent;
  const request: JobRequest = {
    jobType,
    ownerId,
    parameters,
    payloadId,
    provider,
    total,
    attempts,
    backoff,
    priority,
    runAt: null,
    repeat: repeatOf(repeat.cron, repeat.timeZone, FIRST),
    parentId: null,
    replaces: null,
  };
  const about = { repeatable: false, bodyHash: '', olderBodyHashes: [], actor: ownerId, correlationId: 'c' };
  const origin = { ...about, commandId: newId() };
  await commands.job({
    stream: jobId,
    command: { type: 'RequestJob' },
    origin,
    context: () => Promise.resolve({ request }),
  });

  /** As the queue has it once it has heard of everything. */
  const queued = (): QueuedJob | undefined => {
    const records = commands.stream(jobId);
    const last = records.at(-1)!.event;
    const at = last.type === 'JobOccurred' ? last.next : FIRST;
    return at === null ? undefined : { ...parent, version: records.length, runAt: new Date(at) };
  };
  const children = () =>
    [...commands.streams].flatMap(([stream, [first]]) =>
      stream !== jobId && first?.event.type === 'JobRequested' ? [{ stream, ...first.event.request }] : [],
    );
  return { commands, occurrences, occurrencesAt, parent, queued, children, jobId };
}

/** Milliseconds for which it is left alone. */
const leftFor = (outcome: number | LeftAlone) => (typeof outcome === 'number' ? NaN : outcome.leaveMs);

function expectedTimes(count: number): string[] {
  const times = [FIRST];
  while (times.length < count) times.push(nextTime(DAILY.cron, DAILY.timeZone, new Date(times.at(-1)!))!.toISOString());
  return times;
}

describe('a repeating job goes on as long as its owner could ask for it', () => {
  it.each([
    ['an admin’s, without end', ADMIN, {}, true],
    ['a user’s, which ends', USER, { repeatCount: 1_000 }, true],
    ['a former admin’s, without end', USER, {}, false],
    ['a former admin’s, of a type for admins', USER, { repeatCount: 1_000, jobType: 'email' }, false],
    ['of an account that is locked', LOCKED, { repeatCount: 1_000 }, false],
  ] as const)('%s', async (_, rights, parent, goesOn) => {
    const { occurrences, queued, children, commands, jobId } = await startRepeating(DAILY, { rights, parent });
    const due = queued()!;
    expect(await Promise.all([occurrences(due), occurrences(due)])).toEqual([2, 2]);
    expect(children()).toHaveLength(goesOn ? 1 : 0);
    const told = commands.stream(jobId).map(({ event }) => event.type);
    expect(told).toEqual(['JobRequested', goesOn ? 'JobOccurred' : 'JobCancelled']);
  });
});

describe('an occurrence', () => {
  it('is a job of its own, with all that the repeating one has, and then the next one is due', async () => {
    const { occurrences, queued, children, commands, jobId } = await startRepeating();
    expect(await occurrences(queued()!)).toBe(2);
    const [child] = children();
    expect(children()).toMatchObject([
      {
        parentId: jobId,
        runAt: FIRST,
        repeat: null,
        payloadId: 'job-1',
        provider: 'smtp',
        attempts: 3,
        ownerId: 'user-1',
      },
    ]);
    // The clocks change in between.
    const said = {
      type: 'JobOccurred',
      jobId,
      occurrenceId: child!.stream,
      number: 1,
      at: FIRST,
      passedOver: 0,
      next: '2026-03-29T07:00:00.000Z',
    };
    expect(commands.stream(jobId)[1]!.event).toEqual(said);
  });

  it('is the last one when there is no other', async () => {
    const { occurrences, queued, children } = await startRepeating({ cron: LIMITED.cron, timeZone: LIMITED.timeZone });
    for (let round = 0; round < 4; round++) await occurrences(queued()!);
    expect(children().map(({ runAt }) => runAt)).toEqual([
      ...['2026-03-28T08:00:00.000Z', '2026-03-29T07:00:00.000Z'],
      ...['2027-03-28T07:00:00.000Z', '2027-03-29T07:00:00.000Z'],
    ]);
  });

  it('of two schedulers that both have it is one', async () => {
    const { occurrences, queued, children, commands, jobId } = await startRepeating();
    const due = queued()!;
    await Promise.all([occurrences(due), occurrences(due), occurrences(due)]);
    expect([children().length, commands.stream(jobId).length]).toEqual([1, 2]);
  });

  it('of a schedule that was called off is not said, and the lease waits for the queue to hear of that', async () => {
    const { occurrences, queued, commands, jobId } = await startRepeating();
    const due = queued()!;
    const about = { repeatable: false, bodyHash: '', olderBodyHashes: [], actor: 'user-1', correlationId: 'c' };
    const command = { type: 'CancelJob', actor: 'user-1', isAdmin: false } as const;
    await commands.job({ stream: jobId, command, origin: { ...about, commandId: newId() } });
    expect(await occurrences(due)).toBe(2);
    expect(commands.stream(jobId).map(({ event }) => event.type)).toEqual(['JobRequested', 'JobCancelled']);
  });

  it('that has no room waits, and comes when there is some', async () => {
    const full = new AppError('too-many', 'TOO_MANY_JOBS', 'as many as there may be');
    const room = { isThere: false };
    const mustHaveRoom = () => (room.isThere ? Promise.resolve() : Promise.reject(full));
    const { occurrences, queued, children } = await startRepeating(DAILY, { mustHaveRoom });
    expect(leftFor(await occurrences(queued()!))).toBeLessThanOrEqual(1_250);
    expect(children()).toEqual([]);
    room.isThere = true;
    expect(await occurrences(queued()!)).toBe(2);
    expect(children()).toHaveLength(1);
  });

  it.each([
    ['08:00:20', 10_000],
    ['09:00:00', 60_000],
  ])('that has no room is asked for less and less often: at %s after some %d ms', async (time, ms) => {
    const full = new AppError('too-many', 'TOO_MANY_JOBS', 'as many as there may be');
    const { occurrencesAt, queued } = await startRepeating(DAILY, { mustHaveRoom: () => Promise.reject(full) });
    const left = leftFor(await occurrencesAt(`2026-03-28T${time}.000Z`)(queued()!));
    expect(left).toBeGreaterThanOrEqual(0.75 * ms);
    expect(left).toBeLessThanOrEqual(1.25 * ms);
  });

  it.each([
    ['run-once', ['2026-03-31T07:00:00.000Z'], 3],
    ['run-all', [FIRST], 0],
    ['skip', [], 4],
  ])('of missed times is as it was asked for: %s', async (missed, times, passedOver) => {
    const now = '2026-03-31T12:00:00.000Z';
    const { occurrences, queued, children, commands, jobId } = await startRepeating(DAILY, { missed, now });
    await occurrences(queued()!);
    expect(children().map(({ runAt }) => runAt)).toEqual(times);
    expect(commands.stream(jobId).at(-1)!.event).toMatchObject({ passedOver, number: times.length });
  });

  it.each(['run-once', 'run-all', 'skip'])(
    'that was asked for by a process that died is one, and no time since then is lost: %s',
    async (missed) => {
      const { occurrencesAt, queued, children, commands, jobId } = await startRepeating(DAILY, { missed });
      commands.faults.push('none', 'before');
      await occurrencesAt(FIRST)(queued()!);
      await occurrencesAt('2026-03-31T12:00:00.000Z')(queued()!);
      expect(children().map(({ runAt }) => runAt)).toEqual([FIRST]);
      const next = '2026-03-29T07:00:00.000Z';
      expect(commands.stream(jobId).at(-1)!.event).toMatchObject({ passedOver: 0, number: 1, at: FIRST, next });
    },
  );

  it('of times that were missed is one, also when its process died and others were missed since', async () => {
    const { occurrencesAt, queued, children, commands, jobId } = await startRepeating();
    commands.faults.push('none', 'before');
    await occurrencesAt('2026-03-31T12:00:00.000Z')(queued()!);
    await occurrencesAt('2026-04-02T12:00:00.000Z')(queued()!);
    expect(children().map(({ runAt }) => runAt)).toEqual(['2026-03-31T07:00:00.000Z']);
    const said = { occurrenceId: children()[0]!.stream, number: 1, passedOver: 3, next: '2026-04-01T07:00:00.000Z' };
    expect(commands.stream(jobId).at(-1)!.event).toMatchObject(said);
  });

  it('of a time that is due once more, because the repeat was changed, is said once more', async () => {
    const { occurrences, queued, commands, jobId } = await startRepeating();
    await occurrences(queued()!);
    const repeat = repeatOf(DAILY.cron, DAILY.timeZone, FIRST);
    for (const cron of ['0 10 * * *', DAILY.cron]) {
      const command = { type: 'ChangeRepeat', actor: 'user-1', isAdmin: false } as const;
      const about = { repeatable: false, bodyHash: '', olderBodyHashes: [], actor: 'user-1', correlationId: 'c' };
      const context = () => Promise.resolve({ repeat: { ...repeat, cron } });
      await commands.job({ stream: jobId, command, origin: { ...about, commandId: newId() }, context });
    }
    expect(await occurrences({ ...queued()!, version: 4, runAt: new Date(FIRST) })).toBe(5);
    expect(commands.stream(jobId).at(-1)!.event).toMatchObject({ type: 'JobOccurred', number: 2, at: FIRST });
  });

  it('that failed comes back soon: nothing newer is waited for', async () => {
    const { occurrences, queued, commands } = await startRepeating();
    for (const faults of [['before'], ['none', 'before'], ['throws']] as Fault[][]) {
      commands.faults.push(...faults);
      expect(leftFor(await occurrences(queued()!))).toBeLessThanOrEqual(1_250);
    }
  });
});

const faults = fc.array(fc.constantFrom<Fault>('none', 'none', 'before', 'after', 'throws', 'throws after'), {
  maxLength: 30,
});

it('whatever fails, each time has one occurrence and none is skipped', async () => {
  await fc.assert(
    fc.asyncProperty(faults, fc.array(fc.nat(3), { maxLength: 20 }), async (list, behind) => {
      const { occurrences, queued, children, commands } = await startRepeating();
      commands.faults.push(...list);
      const before: QueuedJob[] = [];
      for (let round = 0; round < 24; round++) {
        const due = queued()!;
        before.unshift(due);
        // The queue may be behind, or somebody may be at it who thinks that he still has the lease.
        await occurrences(before[Math.min(behind[round] ?? 0, before.length - 1)]!);
        await occurrences(due);
      }
      const times = children().map(({ runAt }) => runAt);
      expect(times.length).toBeGreaterThan(24 - list.length - 1);
      expect([...times].sort()).toEqual(expectedTimes(times.length));
    }),
    { numRuns: 200 },
  );
});
