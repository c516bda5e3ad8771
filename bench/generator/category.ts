import type { Decider, DeciderTypes } from '../../src/commands/decider.ts';
import { idFromCommand } from '../../src/events/ids.ts';
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

/** Something that somebody wants. */
export interface Wish<Command, Context> {
  readonly command: Command;
  readonly context: Context;
  /** Anybody, where it does not matter. */
  readonly actor?: string;
}

/** What is wanted of a stream as it is; undefined for nothing. */
type Choose<State, Command, Context> = (stream: Stream<State>) => Wish<Command, Context> | undefined;

/** The streams of one category that live, and what is done to them. Each change is decided by the real decider. */
export interface Category<State, Command, Context> {
  /** The id of any of them; undefined when there is none. */
  any(): string | undefined;
  /** Of a stream with that id, or with one that follows from the command. */
  create(wish: Wish<Command, Context>, id?: string): Append;
  /** Changes any of them; undefined when there is none, or nothing is wanted of it. */
  change(choose: Choose<State, Command, Context>): Append | undefined;
  /** The same, for the last time. */
  end(choose: Choose<State, Command, Context>): Append | undefined;
}

export function createCategory<State, Command, Context>(
  {
    category,
    initial,
    evolve,
    decide,
  }: Decider<{ category: DeciderTypes['category']; state: State; command: Command; context: Context }>,
  author: Author,
): Category<State, Command, Context> {
  const living: Stream<State>[] = [];
  const anyIndex = () => author.chance.below(living.length);

  function append(stream: Stream<State>, origin: Origin, { command, context }: Wish<Command, Context>) {
    const { id, state, version, head } = stream;
    const event = decide(id, command, state, context);
    const claim = { stream: id, version: version + 1, prev: head, origin, event };
    const { append: appended, id: recordId } = author.write(claim);
    return { appended, after: { id, state: evolve(state, event), version: version + 1, head: recordId } };
  }

  function changeAt(index: number, choose: Choose<State, Command, Context>) {
    const stream = living[index];
    const wish = stream && choose(stream);
    return wish && append(stream, author.receive(wish.actor), wish);
  }

  return {
    any: () => living[anyIndex()]?.id,
    create(wish, id) {
      const origin = author.receive(wish.actor);
      const stream = { id: id ?? idFromCommand(category, origin.commandId), state: initial, version: 0, head: '' };
      const { appended, after } = append(stream, origin, wish);
      living.push(after);
      return appended;
    },
    change(choose) {
      const index = anyIndex();
      const changed = changeAt(index, choose);
      if (changed) living[index] = changed.after;
      return changed?.appended;
    },
    end(choose) {
      const index = anyIndex();
      const ended = changeAt(index, choose);
      const last = ended && living.pop();
      if (last && index < living.length) living[index] = last;
      return ended?.appended;
    },
  };
}
