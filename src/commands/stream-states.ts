import { LRUCache } from 'lru-cache';
import { keyReused } from '../errors.ts';
import type { StreamSnapshot, StreamStore } from '../event-store/stream-store.ts';
import { idFromCommand } from '../events/ids.ts';
import type { Placement } from '../events/placement.ts';
import type { CommandOrigin, CommandOutcome, CommandRequest } from './command.ts';
import { type Decider, type DeciderTypes, fold } from './decider.ts';
import { unanswered } from './unanswered.ts';

/** A stream as it was at one version. `fresh`: read for this decision, not remembered. */
export interface Loaded<State> {
  readonly state: State;
  readonly version: number;
  /** Record id of the last event; empty for a stream without events. */
  readonly head: string;
  readonly fresh: boolean;
}

/** The states of the streams of one category: read from the stream index, and remembered. */
export interface StreamStates<Types extends DeciderTypes> {
  /** A state without a read, only for a command that cannot have been sent before; undefined when none is remembered. */
  recall(request: StateRequest): Loaded<Types['state']> | undefined;
  /** The state as it is now, or the earlier outcome of the same command. Throws an AppError while the stream takes no commands. */
  load(request: StateRequest): Promise<Loaded<Types['state']> | CommandOutcome>;
  remember(stream: string, loaded: Omit<Loaded<Types['state']>, 'fresh'>): void;
}

type StateRequest = Pick<CommandRequest<unknown>, 'stream' | 'origin'>;

export interface StreamStatesOptions {
  readonly streams: StreamStore;
  readonly placement: Placement;
  /** Streams whose state is remembered. */
  readonly max: number;
}

export function createStreamStates<Types extends DeciderTypes>(
  decider: Decider<Types>,
  { streams, placement, max }: StreamStatesOptions,
): StreamStates<Types> {
  type State = Types['state'];
  const known = new LRUCache<string, Loaded<State>>({ max });
  const empty: Loaded<State> = { state: decider.initial, version: 0, head: '', fresh: false };

  return {
    recall({ stream, origin }) {
      if (origin.repeatable) return undefined;
      return stream === idFromCommand(decider.category, origin.commandId) ? empty : known.get(stream);
    },
    async load({ stream, origin }) {
      const before = known.get(stream) ?? empty;
      const snapshot = await streams.load(stream, placement.place(stream), before.version, origin.commandId);
      requireOpen(stream, snapshot);
      if (snapshot.repeated) return replay(snapshot.repeated, origin);
      const state = snapshot.events.reduce((folded, { event }) => fold(decider, folded, event), before.state);
      const last = snapshot.events.at(-1) ?? { version: before.version, id: before.head };
      const loaded = { state, version: last.version, head: last.id };
      known.set(stream, { ...loaded, fresh: false });
      return { ...loaded, fresh: true };
    },
    remember(stream, loaded) {
      known.set(stream, { ...loaded, fresh: false });
    },
  };
}

function requireOpen(stream: string, { stopped, quarantined }: StreamSnapshot): void {
  if (stopped !== undefined) throw unanswered(stream, { kind: 'stopped', reason: stopped });
  if (quarantined !== undefined) throw unanswered(stream, { kind: 'quarantined', reason: quarantined });
}

function replay(
  { version, id, bodyHash }: NonNullable<StreamSnapshot['repeated']>,
  origin: CommandOrigin,
): CommandOutcome {
  if (bodyHash !== origin.bodyHash && !origin.olderBodyHashes.includes(bodyHash)) throw keyReused();
  return { recordId: id, version, replayed: true };
}
