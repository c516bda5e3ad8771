import { AppError, clientLeft } from '../errors.ts';

/** Who waits for a password to be hashed. */
export interface Turn {
  /** Each sender has a line of its own, and the lines take turns: one that sends many holds only itself up. */
  readonly sender: string;
  /** Fires when the client has left: what waits for it is dropped. */
  readonly signal?: AbortSignal;
  /** Goes before all that are not, as an address that logged in before. */
  readonly isKnown?: boolean;
}

interface Place {
  begin(): void;
  refuse(error: AppError): void;
}

type Lines = Map<string, Place[]>;

/** However many known senders wait, every so many turns are one of the others. */
const OTHERS_EVERY = 4;

/** Runs at most `concurrency` works at once. At most `capacity` others wait; of more, the longest line loses its last one. */
export function createTurns(
  concurrency: number,
  capacity: number,
): <T>(turn: Turn, work: () => Promise<T>) => Promise<T> {
  /** A line that had its turn goes to the end of its group. */
  const known: Lines = new Map();
  const others: Lines = new Map();
  let busy = 0;
  let waiting = 0;
  let taken = 0;

  function next(): Place | undefined {
    const isOfOthers = known.size === 0 || (others.size > 0 && ++taken % OTHERS_EVERY === 0);
    const group = isOfOthers ? others : known;
    for (const [sender, line] of group) {
      const place = line.shift();
      group.delete(sender);
      if (line.length > 0) group.set(sender, line);
      waiting--;
      return place;
    }
    return undefined;
  }

  function join({ sender, signal, isKnown = false }: Turn): Promise<void> {
    const group = isKnown ? known : others;
    const line = group.get(sender) ?? [];
    if (waiting >= capacity) makeRoom(group, line.length);
    return new Promise((resolve, reject) => {
      const leave = () => {
        remove(group, sender, place);
        reject(clientLeft());
      };
      const staying = () => signal?.removeEventListener('abort', leave);
      const place: Place = {
        begin() {
          staying();
          resolve();
        },
        refuse(error) {
          staying();
          reject(error);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      group.set(sender, [...line, place]);
      waiting++;
    });
  }

  /** Throws where no line is longer than that of the one who comes would be. Lines of known senders lose none to others. */
  function makeRoom(joined: Lines, length: number): void {
    const group = others.size > 0 ? others : known;
    const [longest] = [...group].sort(([, a], [, b]) => b.length - a.length);
    const last = longest?.[1].at(-1);
    if (!longest || !last || (group === joined && longest[1].length <= length + 1)) throw crowded();
    remove(group, longest[0], last);
    last.refuse(crowded());
  }

  function remove(group: Lines, sender: string, place: Place): void {
    const left = (group.get(sender) ?? []).filter((each) => each !== place);
    if (left.length > 0) group.set(sender, left);
    else group.delete(sender);
    waiting--;
  }

  return async (turn, work) => {
    if (turn.signal?.aborted) throw clientLeft();
    if (busy < concurrency) busy++;
    else await join(turn);
    try {
      return await work();
    } finally {
      const following = next();
      if (following) following.begin();
      else busy--;
    }
  };
}

const crowded = () =>
  new AppError('unavailable', 'TOO_MANY_LOGINS', 'Too many people log in or register now. Please try again.', {
    retryAfter: 5,
  });
