import { type AppError, clientLeft } from '../errors.ts';

/** A request for a place. */
export interface PlaceRequest {
  /** An address or an account. Senders take turns, so one with many requests delays only its own. */
  readonly sender: string;
  /** The network of an address, because one client may have many of its addresses. It counts as at most ten senders. */
  readonly network?: string | undefined;
  /** Fires when the client has left; a waiting request is dropped then. */
  readonly signal?: AbortSignal | undefined;
  /** Takes precedence over unknown senders, as an address that logged in before. */
  readonly isKnown?: boolean;
  /** Whether it can no longer be refused, because a part of the answer was sent. Then it waits without a limit. */
  readonly mustWait?: () => boolean;
}

export interface PlacesOptions {
  /** Places of all senders together. */
  readonly all: number;
  /** Places of one sender. A network has ten times as many, but at most half of all. Unless given, one sender may have all. */
  readonly each?: number;
  /** Requests that may wait. When one more comes, the last request of the sender with the longest line is refused. */
  readonly waiting: number;
  /** Milliseconds that a request may wait. */
  readonly waitMs: number;
  /** The error of a request that gets no place. */
  readonly refusal: () => AppError;
}

/** Releases a place. A second call does nothing. */
type Leave = () => void;

/** A limit on how much work runs at the same time. */
export interface Places {
  /** Resolves when there is a place. Rejects with the refusal when none was free in time or too many wait, and with CLIENT_LEFT. */
  take(request: PlaceRequest): Promise<Leave>;
  /** Runs the work in a place. */
  within<T>(request: PlaceRequest, work: () => Promise<T>): Promise<T>;
}

/** A network may use as much as this many of its addresses. */
export const NETWORK_FACTOR = 10;
/** Every fourth turn goes to an unknown sender, even if known ones wait. */
const OTHERS_EVERY = 4;

interface Waiter {
  readonly request: PlaceRequest;
  /** Each sender has one turn in a round, and each network ten. */
  readonly round: number;
  readonly canBeRefused: boolean;
  seat(): void;
  refuse(error: AppError): void;
}

/** Waiting requests, and the round reached so far. */
interface Line {
  readonly waiters: Set<Waiter>;
  round: number;
}

export function createPlaces(options: PlacesOptions): Places {
  const { waiting, waitMs, refusal } = options;
  const used = createUsedPlaces(options);
  const [known, others] = [createLine(), createLine()];
  let turns = 0;

  const sit = (request: PlaceRequest): Leave => used.take(request, () => next()?.seat());

  function next(): Waiter | undefined {
    const firstOf = ({ waiters }: Line) => firstInTurn([...waiters].filter(({ request }) => used.isFree(request)));
    return ++turns % OTHERS_EVERY === 0 ? (firstOf(others) ?? firstOf(known)) : (firstOf(known) ?? firstOf(others));
  }

  function wait(request: PlaceRequest): Promise<Leave> {
    const line = request.isKnown ? known : others;
    const { promise, resolve, reject } = Promise.withResolvers<Leave>();
    const end = () => {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', depart);
      line.waiters.delete(waiter);
    };
    const waiter: Waiter = {
      request,
      round: roundOf(request, line),
      canBeRefused: request.mustWait?.() !== true,
      seat() {
        end();
        line.round = Math.max(line.round, waiter.round);
        resolve(sit(request));
      },
      refuse(error) {
        end();
        reject(error);
      },
    };
    const depart = () => waiter.refuse(clientLeft());
    const timer = waiter.canBeRefused ? setTimeout(() => waiter.refuse(refusal()), waitMs) : undefined;
    request.signal?.addEventListener('abort', depart);
    line.waiters.add(waiter);
    if (known.waiters.size + others.waiters.size > waiting) lastOfLongest(known, others)?.refuse(refusal());
    return promise;
  }

  async function take(request: PlaceRequest): Promise<Leave> {
    if (request.signal?.aborted) throw clientLeft();
    return used.isFree(request) ? sit(request) : wait(request);
  }

  return {
    take,
    async within(request, work) {
      const leave = await take(request);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}

/** Counts the places in use, in all, by sender and by network. */
function createUsedPlaces({ all, each = all }: Pick<PlacesOptions, 'all' | 'each'>) {
  const ofNetwork = Math.min(each * NETWORK_FACTOR, Math.max(each, Math.floor(all / 2)));
  const [senders, networks] = [createTally(), createTally()];
  let total = 0;

  function count({ sender, network }: PlaceRequest, by: number): void {
    total += by;
    senders.add(sender, by);
    networks.add(network, by);
  }

  return {
    isFree: ({ sender, network }: PlaceRequest): boolean =>
      total < all && senders.of(sender) < each && networks.of(network) < ofNetwork,
    take(request: PlaceRequest, onLeave: () => void): Leave {
      count(request, 1);
      let isTaken = true;
      return () => {
        if (!isTaken) return;
        isTaken = false;
        count(request, -1);
        onLeave();
      };
    },
  };
}

const createLine = (): Line => ({ waiters: new Set(), round: 0 });

/** The next round in which the sender has no turn yet and its network fewer than ten. */
function roundOf({ sender, network }: PlaceRequest, { waiters, round }: Line): number {
  let [last, ahead] = [round, 0];
  for (const waiter of waiters) {
    if (waiter.request.sender === sender) last = Math.max(last, waiter.round);
    if (network !== undefined && waiter.request.network === network) ahead++;
  }
  return Math.max(last, round + Math.floor(ahead / NETWORK_FACTOR)) + 1;
}

const firstInTurn = (waiters: readonly Waiter[]): Waiter | undefined =>
  waiters.reduce<Waiter | undefined>((first, each) => (first && first.round <= each.round ? first : each), undefined);

/**
 * The last request of the sender, or the network, with the most waiting requests. Of several it is the one that came last; a known
 * sender loses only when there is no other. Rounds cannot decide this, because a sender that uses all of its places is skipped.
 */
function lastOfLongest(...lines: readonly Line[]): Waiter | undefined {
  let [last, most] = [undefined as Waiter | undefined, 0];
  for (const { waiters } of lines) {
    const [senders, networks] = [createTally(), createTally()];
    for (const waiter of waiters) {
      const { sender, network } = waiter.request;
      senders.add(sender, 1);
      networks.add(network, 1);
      const length = Math.max(senders.of(sender), Math.ceil(networks.of(network) / NETWORK_FACTOR));
      if (waiter.canBeRefused && length >= most) [last, most] = [waiter, length];
    }
  }
  return last;
}

function createTally() {
  const counts = new Map<string, number>();
  const of = (name: string | undefined) => (name === undefined ? 0 : (counts.get(name) ?? 0));
  return {
    of,
    add(name: string | undefined, by: number): void {
      if (name === undefined) return;
      const count = of(name) + by;
      if (count > 0) counts.set(name, count);
      else counts.delete(name);
    },
  };
}
