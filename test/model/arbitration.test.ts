import { afterEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import type { Rule } from '../../src/event-store/arbitrate.ts';
import { PartitionState } from '../../src/event-store/partition-state.ts';
import { withoutCommandId, withSeparateHeadRead, withLaterHead, withLaterVersion } from './mutations.ts';
import { type Mutation, type Plan, unchanged } from './world.ts';
import { holds, say, seed, writePathSuite } from './arbitration-suite.ts';

/** A removed rule must be detected within this many schedules: the rarest takes about 1,500. */
const SCHEDULES_TO_MISS_IT = 50_000;

/** Removes the forgetting of heads from the running code, until mocks are restored. */
function keepAllHeads(): void {
  const { begin }: Pick<PartitionState, 'begin'> = PartitionState.prototype;
  jest.spyOn(PartitionState.prototype, 'begin').mockImplementation(function (this: PartitionState, stored) {
    const heads = [...this.heads.entries()];
    const offset = begin.call(this, stored);
    for (const [stream, head] of heads.toReversed()) this.heads.set(stream, head);
    return offset;
  });
  jest.spyOn(PartitionState.prototype, 'forget').mockImplementation(function (this: PartitionState) {
    this.checkpoint = undefined;
  });
}

const versionAlone: Rule = ({ version }, head) => version === (head?.version ?? 0) + 1;
const prevAlone: Rule = ({ prev }, head) => prev === (head?.id ?? '');

writePathSuite(500);

afterEach(() => void jest.restoreAllMocks());

describe('a promise is broken without', () => {
  interface Mutant extends Partial<Mutation> {
    readonly keepHeads?: boolean;
    /** Makes the situations likely that the rule exists for. */
    readonly emphasis?: Partial<Plan>;
  }
  const mutants: [string, Mutant][] = [
    [
      'the version in the rule, when a state is separated from its head',
      { rule: prevAlone, refusals: false, streams: withLaterHead },
    ],
    [
      '`prev` in the rule, when a state is separated from its head',
      { rule: versionAlone, refusals: false, streams: withLaterVersion },
    ],
    ['the one snapshot of state and head', { refusals: false, streams: withSeparateHeadRead }],
    ['the compare-and-set', { compareAndSet: false }],
    ['the forgetting of heads', { keepHeads: true }],
    [
      'the one snapshot of heads and checkpoint',
      { headsAtCheckpoint: false, emphasis: { projectors: 3, crashes: 60, streams: 1, joins: 15, deaths: 0 } },
    ],
    ['the check that a stream assumed to be new is new', { firstsChecked: false }],
    ['notices of winners only after the commit', { notifiedAfterCommit: false }],
    ['the guard', { guard: false }],
    ['the command id', { streams: withoutCommandId }],
    ['the voids of unreadable records', { voids: false }],
    ['the stop of the former owner at the fence', { fence: false, emphasis: { adopts: 30 } }],
    ['the version since which an owner holds the log', { since: false, emphasis: { adopts: 30 } }],
    [
      'the catch-up of a new owner before it serves',
      { catchUp: false, emphasis: { adopts: 30, clients: 4, projectors: 1, crashes: 0 } },
    ],
  ];

  it.each(mutants)(
    '%s',
    async (name, { keepHeads, emphasis, ...mutation }) => {
      if (keepHeads) keepAllHeads();
      const broken = holds({ ...unchanged, ...mutation }, emphasis);
      const found = await fc.check(broken, { seed, numRuns: SCHEDULES_TO_MISS_IT, endOnFailure: true });
      say(`without ${name}: schedule ${found.numRuns}: ${String(found.errorInstance)}`);
      expect(found.failed).toBe(true);
    },
    600_000,
  );
});
