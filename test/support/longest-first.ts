import path from 'node:path';
import jestSequencer from '@jest/test-sequencer';
import { FIRST } from '../tiers.ts';

/** Its types are those of its CommonJS build. */
const Sequencer = jestSequencer as unknown as typeof jestSequencer.default;
type Tests = Parameters<InstanceType<typeof Sequencer>['sort']>[0];

/** Begins with the files that take longest, so that a run does not end with one core waiting for the other. */
export default class LongestFirst extends Sequencer {
  override async sort(tests: Tests): Promise<Tests> {
    const rank = new Map(FIRST.map((file, index) => [file, index]));
    const rankOf = ({ path: file, context }: Tests[number]) =>
      rank.get(path.relative(context.config.rootDir, file)) ?? FIRST.length;
    return (await super.sort(tests)).toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}
