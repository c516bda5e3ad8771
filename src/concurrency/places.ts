import { type AppError, clientLeft } from '../errors.ts';

/** Who asks for a place. */
export interface Claim {
  /** An address or an account. Each has a line of its own, and the lines take turns: one that asks for much holds only itself up. */
  readonly sender: string;
  /** Of an address: what it is part of, and who may have many such addresses. It counts as no more than ten senders. */
  readonly network?: string | undefined;
  /** Fires when the client has left: what waits for it is dropped. */
  readonly signal?: AbortSignal | undefined;
  /** Goes before all that are not, as an address that logged in before. */
  readonly isKnown?: boolean;
  /** Whether it is too late to refuse it, as when a part of the answer is sent: then it waits for as long as it takes. */
  readonly mustWait?: () => boolean;
}

export interface PlacesOptions {
  /** Of all together. */
  readonly all: number;
  /** Of one sender; of its network ten times as many, but at most half of all. Without it one sender may have them all. */
  readonly each?: number;
  /** That may wait, of all together. Of one more the last of the sender with the longest line is refused. */
  readonly waiting: number;
  /** Milliseconds that one may wait. */
  readonly waitMs: number;
  /** What is told to the one that gets no place. */
  readonly refusal: () => AppError;
}

/** Gives a place back; twice is fine. */
type Leave = () => void;

/** A limit on how much is done at once. */
export interface Places {
  /** Resolves when there is a place. Rejects with the refusal when there was none in time, or too many wait, and with CLIENT_LEFT. */
  take(claim: Claim): Promise<Leave>;
  /** Does the work in a place. */
  within<T>(claim: Claim, work: () => Promise<T>): Promise<T>;
}

/** A network has as much of anything as so many of its addresses. */
export const NETWORK_FACTOR = 10;
/** However many known senders wait, every so many turns are one of the others. */
const OTHERS_EVERY = 4;

interface Waiter {
  readonly claim: Claim;
  /** Each sender has one turn in a round, and each network ten. */
  readonly round: number;
  readonly canBeRefused: boolean;
  seat(): void;
  refuse(error: AppError): void;
}

/** Those who wait, and the round that has come so far. */
interface Line {
  readonly waiters: Set<Waiter>;
  round: number;
}

export function createPlaces({ all, each = all, waiting, waitMs, refusal }: PlacesOptions): Places {
  const ofNetwork = Math.min(each * NETWORK_FACTOR, Math.max(each, Math.floor(all / 2)));
  const [senders, networks] = [createTally(), createTally()];
  const [known, others] = [createLine(), createLine()];
  let [taken, turns] = [0, 0];

  const isFree = ({ sender, network }: Claim) =>
    taken < all && senders.of(sender) < each && networks.of(network) < ofNetwork;

  function sit(claim: Claim): Leave {
    count(claim, 1);
    let isSitting = true;
    return () => {
      if (!isSitting) return;
      isSitting = false;
      count(claim, -1);
      next()?.seat();
    };
  }

  function count({ sender, network }: Claim, by: number): void {
    taken += by;
    senders.add(sender, by);
    networks.add(network, by);
  }

  function next(): Waiter | undefined {
    const firstOf = ({ waiters }: Line) => firstInTurn([...waiters].filter(({ claim }) => isFree(claim)));
    return ++turns % OTHERS_EVERY === 0 ? (firstOf(others) ?? firstOf(known)) : (firstOf(known) ?? firstOf(others));
  }

  function wait(claim: Claim): Promise<Leave> {
    const line = claim.isKnown ? known : others;
    const { promise, resolve, reject } = Promise.withResolvers<Leave>();
    const end = () => {
      clearTimeout(timer);
      claim.signal?.removeEventListener('abort', depart);
      line.waiters.delete(waiter);
    };
    const waiter: Waiter = {
      claim,
      round: roundOf(claim, line),
      canBeRefused: claim.mustWait?.() !== true,
      seat() {
        end();
        line.round = Math.max(line.round, waiter.round);
        resolve(sit(claim));
      },
      refuse(error) {
        end();
        reject(error);
      },
    };
    const depart = () => waiter.refuse(clientLeft());
    const timer = waiter.canBeRefused ? setTimeout(() => waiter.refuse(refusal()), waitMs) : undefined;
    claim.signal?.addEventListener('abort', depart);
    line.waiters.add(waiter);
    if (known.waiters.size + others.waiters.size > waiting) lastOfLongest(known, others)?.refuse(refusal());
    return promise;
  }

  async function take(claim: Claim): Promise<Leave> {
    if (claim.signal?.aborted) throw clientLeft();
    return isFree(claim) ? sit(claim) : wait(claim);
  }

  return {
    take,
    async within(claim, work) {
      const leave = await take(claim);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}

const createLine = (): Line => ({ waiters: new Set(), round: 0 });

/** The next round in which neither the sender has a turn already, nor its network ten. */
function roundOf({ sender, network }: Claim, { waiters, round }: Line): number {
  let [last, ahead] = [round, 0];
  for (const waiter of waiters) {
    if (waiter.claim.sender === sender) last = Math.max(last, waiter.round);
    if (network !== undefined && waiter.claim.network === network) ahead++;
  }
  return Math.max(last, round + Math.floor(ahead / NETWORK_FACTOR)) + 1;
}

const firstInTurn = (waiters: readonly Waiter[]): Waiter | undefined =>
  waiters.reduce<Waiter | undefined>((first, each) => (first && first.round <= each.round ? first : each), undefined);

/**
 * The last of the sender, or the network, that has the most waiting; of several the one that came last, and a known one only where
 * there is no other. Rounds would not tell: a sender that has all of its places is passed over while rounds go on.
 */
function lastOfLongest(...lines: readonly Line[]): Waiter | undefined {
  let [last, most] = [undefined as Waiter | undefined, 0];
  for (const { waiters } of lines) {
    const [senders, networks] = [createTally(), createTally()];
    for (const waiter of waiters) {
      const { sender, network } = waiter.claim;
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
