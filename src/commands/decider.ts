import type { AnyEvent } from '../events/events.ts';

/**
 * The pure heart of a category: what can be wished for, what follows from it, and how events add up to a state.
 * Time and ids come in with the command; nothing is read or written here.
 */
export interface Decider<State, Command, Context = undefined> {
  /** The part of the stream id before the first dash. */
  readonly category: string;
  /** The state of a stream without events. */
  readonly initial: State;
  /** The state after one more event. Never throws: what was accepted happened. */
  evolve(state: State, event: AnyEvent): State;
  /**
   * The one event that follows, or throws an AppError: rejected or not-found. `stream` is the id of the thing, except in
   * streams of likes, whose commands name theirs.
   */
  decide(stream: string, command: Command, state: State, context: Context): AnyEvent;
}
