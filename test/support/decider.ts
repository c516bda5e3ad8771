import { type Decider, type DeciderTypes, fold } from '../../src/commands/decider.ts';
import { reasonOf } from '../../src/errors.ts';
import type { AnyEvent } from '../../src/events/events.ts';

/**
 * Given these events, when this command comes, then: the event that follows, or the code of the rejection. The stream is
 * the category and `-1`.
 */
export function given<Types extends DeciderTypes>(decider: Decider<Types>, ...events: readonly AnyEvent[]) {
  const state = events.reduce((folded, event) => fold(decider, folded, event), decider.initial);
  return {
    state,
    when(command: Types['command'], context?: Types['context']): AnyEvent | string {
      try {
        return decider.decide(`${decider.category}-1`, command, state, context);
      } catch (error) {
        return (error as { code?: string }).code ?? reasonOf(error);
      }
    },
  };
}
