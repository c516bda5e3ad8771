import { randomUUID } from 'node:crypto';
import { reasonOf } from '../errors.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { CacheServer } from './cache.ts';
import { createSingleFlight } from '../concurrency/single-flight.ts';
import { STATE_VALID_MS, type CacheRow, type CacheState, createCacheStateReader } from './cache-state.ts';
import type { CacheMeter } from './meter.ts';

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

const ASK_EVERY_MS = 250;
/** A server that did not answer is left alone for so long. */
const LEFT_ALONE_MS = 1_000;
/** So long nobody turns on again what a process turned off that could not reach the server; it says so again and again. */
const HOLD_MS = 3_000;

/** What one process knows of the cache. */
export interface Incarnation extends Stoppable {
  /** The incarnation in which entries may be read and filled now; undefined: none. */
  activeIncarnation(): string | undefined;
  /**
   * The row, once nobody can believe an older one: what is written before that could be missing from what others read.
   * `marks`: entries of this build are in use and have to be marked, and the server is the row's.
   */
  awaitSettled(generation: number): Promise<{ readonly id: string; readonly marks: boolean }>;
  /** The database's clock in milliseconds, or some earlier time. */
  databaseTime(): number;
  /** The row or the server seems to be another one: asks now. */
  revalidate(): Promise<void>;
  /** The server did not answer. */
  failed(error: unknown): void;
  /** What has this id cannot be marked: nobody is to read it any more. */
  turnOff(id: string): Promise<void>;
}

export function createIncarnation(options: IncarnationOptions): Incarnation {
  const { server, row, generation, mayBegin, now, pause, meter, report, alone = false } = options;
  const known = createCacheStateReader(row, now, alone ? 0 : STATE_VALID_MS);
  const share = createSingleFlight();
  /** Id of the row whose server ours is, found out by the connection that we have now. */
  let verified: string | undefined;
  /** Counts why what was found out about the server may no longer be true. */
  let revalidations = 0;
  let leftAloneUntil = -Infinity;
  /** We turned it off because we could not reach the server. */
  let holding = false;
  let trouble = '';
  let stopped = false;

  function unverify(): void {
    revalidations += 1;
    verified = undefined;
  }
  server.onReset(unverify);

  const ask = () =>
    share('ask', async () => {
      try {
        await known.refresh();
        await look();
        if (now() >= leftAloneUntil) trouble = '';
      } catch (error) {
        complain(error);
      }
    });

  /** Finds out whether the server is the row's, and begins a new incarnation where it is not. */
  async function look(): Promise<void> {
    const mine = generation();
    const isMine = ({ generation: its }: CacheState) => mine === undefined || mine === its;
    const last = known.last();
    if (!last || now() < leftAloneUntil || (verified === last.state.id && isMine(last.state))) return;
    const { state } = last;
    const before = revalidations;
    const { runId, incarnation, unfit } = await identify(state);
    if (unfit !== undefined) throw new Error(unfit);
    const same = state.on && runId === state.runId && incarnation === state.id;
    if (same && before === revalidations) verified = state.id;
    if (mine === undefined || (same && isMine(state)) || !(await mayBegin(mine))) return;
    // Processes that reach different servers would replace each other's for ever, and nothing would ever be settled.
    if (state.on && !same && now() < last.settledAt) return row.turnOff(state.id, HOLD_MS);
    const next = { id: randomUUID(), previous: state.id, on: true, runId, generation: mine };
    await row.replace(state.id, next, () => server.begin(next.id));
    if ((await known.refresh()).id === next.id && before === revalidations) verified = next.id;
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

  async function awaitSettled(build: number): Promise<{ id: string; marks: boolean }> {
    if (!known.last()) await ask();
    for (;;) {
      const last = known.last();
      if (!last) throw new Error('It is not known whether anything is cached.');
      const { state, settledAt } = last;
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

  function activeIncarnation(): string | undefined {
    const last = known.last();
    if (!last || now() - last.askedAt > STATE_VALID_MS) return undefined;
    const { id, on, generation: its } = last.state;
    return on && verified === id && its === generation() ? id : undefined;
  }

  const isUnverified = (id: string) => known.last()?.state.id === id && verified !== id;

  async function askOn(): Promise<void> {
    while (!stopped) {
      const before = now();
      await ask();
      await pause(ASK_EVERY_MS);
      if (activeIncarnation() === undefined) meter.off(now() - before);
    }
  }
  const asking = askOn();

  return {
    activeIncarnation,
    awaitSettled,
    databaseTime: () => now() + (known.last()?.ahead ?? -Infinity),
    revalidate() {
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
