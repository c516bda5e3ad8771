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

/** A command and its sender. */
export interface SentCommand<Command, Context> {
  readonly command: Command;
  readonly context: Context;
  /** Anonymous unless it is given. */
  readonly actor?: string;
}

/** The next command for a stream in its state; undefined for none. */
type Choose<State, Command, Context> = (stream: Stream<State>) => SentCommand<Command, Context> | undefined;

/** The live streams of one category. Each change of them is decided by the real decider. */
export interface Category<State, Command, Context> {
  /** The id of any of them; undefined when there is none. */
  any(): string | undefined;
  /** Creates a stream with that id, or with one derived from the command. */
  create(sent: SentCommand<Command, Context>, id?: string): Append;
  /** Changes any of them; undefined when there is none, or no command for it. */
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

  function append(stream: Stream<State>, origin: Origin, { command, context }: SentCommand<Command, Context>) {
    const { id, state, version, head } = stream;
    const event = decide(id, command, state, context);
    const claim = { stream: id, version: version + 1, prev: head, origin, event };
    const { append: appended, id: recordId } = author.write(claim);
    return { appended, after: { id, state: evolve(state, event), version: version + 1, head: recordId } };
  }

  function changeAt(index: number, choose: Choose<State, Command, Context>) {
    const stream = living[index];
    const sent = stream && choose(stream);
    return sent && append(stream, author.receive(sent.actor), sent);
  }

  return {
    any: () => living[anyIndex()]?.id,
    create(sent, id) {
      const origin = author.receive(sent.actor);
      const stream = { id: id ?? idFromCommand(category, origin.commandId), state: initial, version: 0, head: '' };
      const { appended, after } = append(stream, origin, sent);
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
