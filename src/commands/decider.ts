import { type AnyEvent, type Category, type CategoryEvents, isEventOf } from '../events/events.ts';

/** The types of one category of streams. Its events follow from its name. */
export interface DeciderTypes {
  readonly category: Category;
  readonly state: unknown;
  readonly command: unknown;
  /** What is read of other streams while a command is handled; undefined when nothing is. */
  readonly context: unknown;
}

export type EventOf<Types extends DeciderTypes> = CategoryEvents[Types['category']];

/**
 * The pure part of a category: which event follows from a command, and how events add up to a state. Time and ids come in with
 * the command; nothing is read or written here.
 */
export interface Decider<Types extends DeciderTypes> {
  readonly category: Types['category'];
  /** The state of a stream without events. */
  readonly initial: Types['state'];
  /** The state after one more event of the category. Never throws: an accepted event has happened. */
  evolve(state: Types['state'], event: EventOf<Types>): Types['state'];
  /**
   * The one event that follows, or throws an AppError: rejected or not-found. `stream` is the id of the thing, except in
   * streams of likes, whose commands carry the ids of theirs.
   */
  decide(stream: string, command: Types['command'], state: Types['state'], context: Types['context']): EventOf<Types>;
}

/** The state after one more event of the stream. An event of another category changes nothing. */
export const fold = <Types extends DeciderTypes>(
  { category, evolve }: Pick<Decider<Types>, 'category' | 'evolve'>,
  state: Types['state'],
  event: AnyEvent,
): Types['state'] => (isEventOf(category, event) ? evolve(state, event) : state);
