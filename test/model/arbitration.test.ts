import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import * as arbitrate from '../../src/projections/arbitrate.ts';
import type { PartitionState } from '../../src/projections/partition-state.ts';
import { forgetfulOfCommands, withHeadReadApart, withLaterHead, withLaterVersion } from './mutations.ts';
import { plans } from './plans.ts';
import { runSchedule } from './schedule.ts';
import { type Mutation, type Plan, unchanged } from './world.ts';

const SCHEDULES = Number(process.env.MODEL_SCHEDULES ?? 10_000);
/** A rule that is taken out has to be missed within so many. */
const SCHEDULES_TO_MISS_IT = 10_000;
const seed = Number(process.env.MODEL_SEED ?? Date.now()) | 0;

const ARBITRATE = '../../src/projections/arbitrate.ts';
type Rule = typeof arbitrate.wins;
type Run = typeof runSchedule;

const say = (line: string) => process.stdout.write(`arbitration model: ${line}\n`);

/** Holds as long as nothing happens in a schedule that must never happen. */
const holds = (mutation: Mutation, run: Run = runSchedule, emphasis: Partial<Plan> = {}) =>
  fc.asyncProperty(plans, async (plan) => {
    const { violation } = await run({ ...plan, ...emphasis }, mutation);
    await new Promise((resolve) => setImmediate(resolve)); // schedules take no turn of the event loop, others may want one
    if (violation !== undefined) throw new Error(violation);
  });

/** The model around a fresh copy of the code that runs, changed as told. */
async function runWith({ rule, keepHeads = false }: { rule?: Rule; keepHeads?: boolean }): Promise<Run> {
  let run: Run = runSchedule;
  if (rule) jest.unstable_mockModule(ARBITRATE, () => ({ ...arbitrate, wins: rule }));
  await jest.isolateModulesAsync(async () => {
    const fresh = await import('../../src/projections/partition-state.ts');
    if (keepHeads) rememberHeads(fresh.PartitionState.prototype);
    ({ runSchedule: run } = await import('./schedule.ts'));
  });
  if (rule) jest.unstable_unmockModule(ARBITRATE);
  return run;
}

function rememberHeads(prototype: Pick<PartitionState, 'begin' | 'forget'>): void {
  const { begin } = prototype;
  prototype.begin = function (this: PartitionState, stored) {
    const heads = [...this.heads.entries()];
    const offset = begin.call(this, stored);
    for (const [stream, head] of heads.toReversed()) this.heads.set(stream, head);
    return offset;
  };
  prototype.forget = function (this: PartitionState) {
    this.checkpoint = undefined;
  };
}

const versionAlone: Rule = ({ version }, head) => version === (head?.version ?? 0) + 1;
const prevAlone: Rule = ({ prev }, head) => prev === (head?.id ?? '');

beforeAll(() => void say(`MODEL_SEED=${seed}`));

describe('the write path as it is', () => {
  it(`keeps every promise in ${SCHEDULES} schedules`, async () => {
    await fc.assert(holds(unchanged), { seed, numRuns: SCHEDULES });
  }, 600_000);

  it('goes on where a crash takes a commit back while the next delivery is under way', async () => {
    const plan = {
      ...{ seed: 1409596597, steps: 108, apis: 1, projectors: 1, clients: 4, streams: 2, remembered: 1 },
      ...{ verdictWait: 31, apart: false, crashes: 8, deaths: 10, naps: 0, joins: 10 },
      ...{ unknown: 0, duplicated: 6, refused: 0, blank: 0 },
    };
    expect((await runSchedule(plan, unchanged)).violation).toBeUndefined();
  });

  it.each([
    ['the id is of a later head', withLaterHead],
    ['the version is of a later head', withLaterVersion],
  ])(
    'keeps them when a state is torn from its head, and %s',
    async (_, streams) => {
      await fc.assert(holds({ ...unchanged, refusals: false, streams }), { seed, numRuns: SCHEDULES / 10 });
    },
    600_000,
  );
});

describe('a promise is broken without', () => {
  interface Mutant extends Partial<Mutation> {
    readonly rule?: Rule;
    readonly keepHeads?: boolean;
    /** Makes what the rule is there for likely. */
    readonly emphasis?: Partial<Plan>;
  }
  const mutants: [string, Mutant][] = [
    [
      'the version in the rule, when a state is torn from its head',
      { rule: prevAlone, refusals: false, streams: withLaterHead },
    ],
    [
      '`prev` in the rule, when a state is torn from its head',
      { rule: versionAlone, refusals: false, streams: withLaterVersion },
    ],
    ['the one snapshot of state and head', { refusals: false, streams: withHeadReadApart }],
    ['the compare-and-set', { compareAndSet: false }],
    ['the forgetting of heads', { keepHeads: true }],
    [
      'the one snapshot of heads and checkpoint',
      { headsAtCheckpoint: false, emphasis: { projectors: 3, crashes: 30, streams: 1 } },
    ],
    ['the look whether a stream that was taken for new is new', { firstsChecked: false }],
    ['word of winners coming after the commit', { toldAfterCommit: false }],
    ['the guard', { guard: false }],
    ['the command id', { streams: forgetfulOfCommands }],
  ];

  it.each(mutants)(
    '%s',
    async (name, { rule, keepHeads, emphasis, ...mutation }) => {
      const run = await runWith({ rule, keepHeads });
      const broken = holds({ ...unchanged, ...mutation }, run, emphasis);
      const found = await fc.check(broken, { seed, numRuns: SCHEDULES_TO_MISS_IT, endOnFailure: true });
      say(`without ${name}: schedule ${found.numRuns}: ${String(found.errorInstance)}`);
      expect(found.failed).toBe(true);
    },
    600_000,
  );
});
