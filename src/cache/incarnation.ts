import { randomUUID } from 'node:crypto';
import { reasonOf } from '../errors.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { CacheServer } from './cache.ts';
import { createFlights } from './flights.ts';
import type { CacheMeter } from './meter.ts';

/** The row in Postgres that says which cache counts. What it has said before, it never says again. */
export interface CacheState {
  /** Also the incarnation that the server repeats while the cache is on. */
  readonly id: string;
  /** Id of the row that this one replaced. */
  readonly previous: string;
  readonly on: boolean;
  /** Of the server that has the incarnation. */
  readonly runId: string;
  /** The build whose answers are cached. */
  readonly generation: number;
}

export interface CacheRow {
  /** `now`: the database's clock in milliseconds, when it answered. */
  read(): Promise<CacheState & { readonly now: number }>;
  /**
   * Replaces the row, unless it is another one than `from` by now, or is held off. `prepare` runs while nobody else can
   * replace it. Durable before anybody can read it.
   */
  replace(from: string, to: CacheState, prepare: () => Promise<void>): Promise<void>;
  /** Replaces the row by one that is off, unless it is another one by now, or off already; it is held off for so long. */
  turnOff(from: string, holdMs: number): Promise<void>;
}

export interface IncarnationOptions {
  readonly server: CacheServer;
  readonly row: CacheRow;
  /** The build that this process reads and that every answer waits for; undefined if there is none. */
  readonly generation: () => number | undefined;
  /** Whether the build is the only one that is read, and has all that was asked of others. */
  readonly mayBegin: (generation: number) => Promise<boolean>;
  /** Milliseconds by a clock that never goes back. */
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  readonly meter: Pick<CacheMeter, 'off'>;
  readonly report: (message: string) => void;
  /** No other process can reach the server, so none can believe in what this one has replaced. */
  readonly alone?: boolean;
}

/** Entries are served for so long after the row was asked for. Whoever turns the cache off waits as long. */
export const BELIEVED_MS = 1_000;
const ASK_EVERY_MS = 250;
/** A server that did not answer is left alone for so long. */
const LEFT_ALONE_MS = 1_000;
/** So long nobody turns on again what a process turned off that could not reach the server; it says so again and again. */
const HOLD_MS = 3_000;

/** What one process knows of the cache. */
export interface Incarnation extends Stoppable {
  /** The incarnation in which entries may be read and filled now; undefined: none. */
  readable(): string | undefined;
  /**
   * The row, once nobody can believe an older one: what is written before that could be missing from what others read.
   * `marks`: entries of this build are in use and have to be marked, and the server is the row's.
   */
  settled(generation: number): Promise<{ readonly id: string; readonly marks: boolean }>;
  /** The database's clock in milliseconds, or some earlier time. */
  databaseTime(): number;
  /** The row or the server seems to be another one: asks now. */
  doubt(): Promise<void>;
  /** The server did not answer. */
  failed(error: unknown): void;
  /** What has this id cannot be marked: nobody is to read it any more. */
  turnOff(id: string): Promise<void>;
}

interface Known {
  readonly state: CacheState;
  /** When the question was sent. */
  readonly askedAt: number;
  /** From when on nobody can believe an older row. */
  readonly settledAt: number;
  /** Added to our clock it gives the database's, or an earlier time. */
  readonly ahead: number;
}

export function createIncarnation(options: IncarnationOptions): Incarnation {
  const { server, row, generation, mayBegin, now, pause, meter, report, alone = false } = options;
  const settleMs = alone ? 0 : BELIEVED_MS;
  const share = createFlights();
  let known: Known | undefined;
  /** Id of the row whose server ours is, found out by the connection that we have now. */
  let verified: string | undefined;
  /** Counts why what was found out about the server may no longer be true. */
  let doubts = 0;
  let leftAloneUntil = -Infinity;
  /** We turned it off because we could not reach the server. */
  let holding = false;
  let trouble = '';
  let stopped = false;

  function unverify(): void {
    doubts += 1;
    verified = undefined;
  }
  server.onReset(unverify);

  const ask = () =>
    share('ask', async () => {
      try {
        await learn();
        await look();
        if (now() >= leftAloneUntil) trouble = '';
      } catch (error) {
        complain(error);
      }
    });

  async function learn(): Promise<CacheState> {
    const askedAt = now();
    const { now: databaseTime, ...state } = await row.read();
    const arrived = now();
    known = { state, askedAt, settledAt: settledAt(state, arrived), ahead: databaseTime - arrived };
    if (verified !== state.id) verified = undefined;
    return state;
  }

  /** Of a row that turned a cache on that was off, nothing older can be believed but that it is off. */
  function settledAt(state: CacheState, arrived: number): number {
    if (!known) return arrived + settleMs;
    const { id, on } = known.state;
    return id === state.id || (!on && id === state.previous) ? known.settledAt : arrived + settleMs;
  }

  /** Finds out whether the server is the row's, and begins a new incarnation where it is not. */
  async function look(): Promise<void> {
    const mine = generation();
    const isMine = ({ generation: its }: CacheState) => mine === undefined || mine === its;
    if (!known || now() < leftAloneUntil || (verified === known.state.id && isMine(known.state))) return;
    const { state } = known;
    const before = doubts;
    const { runId, incarnation, unfit } = await identify(state);
    if (unfit !== undefined) throw new Error(unfit);
    const same = state.on && runId === state.runId && incarnation === state.id;
    if (same && before === doubts) verified = state.id;
    if (mine === undefined || (same && isMine(state)) || !(await mayBegin(mine))) return;
    // Processes that reach different servers would replace each other's for ever, and nothing would ever be settled.
    if (state.on && !same && now() < known.settledAt) return row.turnOff(state.id, HOLD_MS);
    const next = { id: randomUUID(), previous: state.id, on: true, runId, generation: mine };
    await row.replace(state.id, next, () => server.begin(next.id));
    if ((await learn()).id === next.id && before === doubts) verified = next.id;
  }

  async function identify({ id }: CacheState) {
    try {
      const identity = await server.identify();
      holding &&= identity.unfit !== undefined;
      return identity;
    } catch (error) {
      failed(error);
      throw error;
    } finally {
      if (holding) await row.turnOff(id, HOLD_MS);
    }
  }

  function failed(error: unknown): void {
    unverify();
    leftAloneUntil = now() + LEFT_ALONE_MS;
    complain(error);
  }

  function complain(error: unknown): void {
    if (reasonOf(error) !== trouble) report(`the cache is not used: ${reasonOf(error)}`);
    trouble = reasonOf(error);
  }

  async function turnOff(id: string, holdMs = 0): Promise<void> {
    holding = now() < leftAloneUntil;
    await row.turnOff(id, holding ? HOLD_MS : holdMs);
    await ask();
  }

  async function settled(build: number): Promise<{ id: string; marks: boolean }> {
    if (!known) await ask();
    for (;;) {
      if (!known) throw new Error('It is not known whether anything is cached.');
      const { state, settledAt } = known;
      const { id } = state;
      if (now() < settledAt) await pause(settledAt - now());
      else if (!state.on || state.generation !== build) return { id, marks: false };
      else if (verified === id) return { id, marks: true };
      else {
        await ask();
        if (isUnverified(id)) await turnOff(id, HOLD_MS);
      }
    }
  }

  function readable(): string | undefined {
    if (!known || now() - known.askedAt > BELIEVED_MS) return undefined;
    const { id, on, generation: its } = known.state;
    return on && verified === id && its === generation() ? id : undefined;
  }

  const isUnverified = (id: string) => known?.state.id === id && verified !== id;

  async function askOn(): Promise<void> {
    while (!stopped) {
      const before = now();
      await ask();
      await pause(ASK_EVERY_MS);
      if (readable() === undefined) meter.off(now() - before);
    }
  }
  const asking = askOn();

  return {
    readable,
    settled,
    databaseTime: () => now() + (known?.ahead ?? -Infinity),
    doubt() {
      unverify();
      return ask();
    },
    failed,
    turnOff,
    async stop() {
      stopped = true;
      await asking;
    },
  };
}
