import type { StreamSnapshot, StreamStore } from '../../src/event-store/stream-store.ts';

/** The command id is removed: no process learns that a command had its effect. */
export function withoutCommandId(streams: StreamStore): StreamStore {
  const load: StreamStore['load'] = async (...asked) => ({ ...(await streams.load(...asked)), repeated: undefined });
  return { ...streams, load };
}

/** State and head of two snapshots, without a wait in between: no rule can detect it. */
export const withSeparateHeadRead = (streams: StreamStore) => withLaterLast(streams, (later) => later);

/**
 * A state separated from its head: state and version are of one snapshot, the head's id is of a later one. A claim on it
 * has the right `prev` and an old version.
 */
export const withLaterHead = (streams: StreamStore) => withLaterLast(streams, ({ id }) => ({ id }));

function withLaterLast(streams: StreamStore, what: (later: Numbered) => Partial<Numbered>): StreamStore {
  const load: StreamStore['load'] = async (...asked) => {
    const first = await streams.load(...asked);
    const later = (await streams.load(...asked)).events.at(-1);
    return later ? withLast(first, what(later)) : first;
  };
  return { ...streams, load };
}

/**
 * A state separated from its head: state and the head's id are of one snapshot, the version is of a later one. A claim on
 * it has the right version and an old `prev`. The version is wrong in the handler's memory too, so the next load begins at
 * the real end of the state; otherwise the state would stay wrong even if later claims fitted.
 */
export function withLaterVersion(streams: StreamStore): StreamStore {
  const torn = new Map<string, { readonly said: number; readonly held: number }>();
  const load: StreamStore['load'] = async (stream, where, after, commandId) => {
    const before = torn.get(stream);
    const from = before?.said === after ? before.held : after;
    const first = await streams.load(stream, where, from, commandId);
    const second = await streams.load(stream, where, from, commandId);
    const held = first.events.at(-1)?.version;
    const said = second.events.at(-1)?.version;
    if (first.repeated ?? first.quarantined ?? first.stopped) return first; // the handler does not use the state
    torn.delete(stream);
    if (held !== undefined && said !== undefined && said > held) torn.set(stream, { said, held });
    return withLast(first, { version: said });
  };
  return { ...streams, load };
}

type Numbered = Pick<StreamSnapshot['events'][number], 'version' | 'id'>;

/** The snapshot with another version or id of its last event, if it has any. */
function withLast(snapshot: StreamSnapshot, change: Partial<Numbered>): StreamSnapshot {
  const last = snapshot.events.at(-1);
  if (!last) return snapshot;
  const { version = last.version, id = last.id } = change;
  return { ...snapshot, events: [...snapshot.events.slice(0, -1), { ...last, version, id }] };
}
