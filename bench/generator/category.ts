import type { Decider } from '../../src/commands/decider.ts';
import { thingIdOf } from '../../src/events/ids.ts';
import type { Append } from '../../src/log/event-log.ts';
import type { Author, Origin } from './author.ts';

/** A stream as the write side would load it. */
export interface Stream<State> {
  readonly id: string;
  readonly state: State;
  readonly version: number;
  /** Record id of its last event. */
  readonly head: string;
}

/** The streams of one category that live, and what is done to them. Each change is decided by the real decider. */
export interface Category<Command, Context> {
  /** How many there are. */
  size(): number;
  /** The id of any of them; undefined when there is none. */
  any(): string | undefined;
  create(command: Command, context: Context): Append;
  /** Changes any of them, of which there must be one. */
  change(command: Command, context: Context): Append;
  /** Changes any of them for the last time. */
  end(command: Command, context: Context): Append;
}

export function createCategory<State, Command, Context>(
  { category, initial, evolve, decide }: Decider<State, Command, Context>,
  author: Author,
): Category<Command, Context> {
  const living: Stream<State>[] = [];
  const anyIndex = () => author.chance.below(living.length);

  function append({ id, state, version, head }: Stream<State>, origin: Origin, command: Command, context: Context) {
    const event = decide(command, state, context);
    const claim = { stream: id, version: version + 1, prev: head, origin, event };
    const { append: appended, id: recordId } = author.write(claim);
    return { appended, after: { id, state: evolve(state, event), version: version + 1, head: recordId } };
  }

  function changeAt(index: number, command: Command, context: Context) {
    const stream = living[index];
    if (!stream) throw new Error(`There is no ${category} to change.`);
    return append(stream, author.receive(), command, context);
  }

  return {
    size: () => living.length,
    any: () => living[anyIndex()]?.id,
    create(command, context) {
      const origin = author.receive();
      const stream = { id: thingIdOf(category, origin.commandId), state: initial, version: 0, head: '' };
      const { appended, after } = append(stream, origin, command, context);
      living.push(after);
      return appended;
    },
    change(command, context) {
      const index = anyIndex();
      const { appended, after } = changeAt(index, command, context);
      living[index] = after;
      return appended;
    },
    end(command, context) {
      const index = anyIndex();
      const { appended } = changeAt(index, command, context);
      const last = living.pop();
      if (last && index < living.length) living[index] = last;
      return appended;
    },
  };
}
