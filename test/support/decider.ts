import type { Decider } from '../../src/commands/decider.ts';
import { reasonOf } from '../../src/errors.ts';
import type { AnyEvent } from '../../src/events/events.ts';

/**
 * Given these events, when this command comes, then: the event that follows, or the code of the rejection. The stream is
 * the category and `-1`.
 */
export function given<State, Command, Context>(
  { category, initial, evolve, decide }: Decider<State, Command, Context>,
  ...events: readonly AnyEvent[]
) {
  const state = events.reduce(evolve, initial);
  return {
    state,
    when(command: Command, context?: Context): AnyEvent | string {
      try {
        return decide(`${category}-1`, command, state, context as Context);
      } catch (error) {
        return (error as { code?: string }).code ?? reasonOf(error);
      }
    },
  };
}
