import { randomUUID } from 'node:crypto';
import { reasonOf } from '../errors.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { CacheServer, Identity } from './cache.ts';
import { poll } from '../concurrency/poll.ts';
import { createSingleFlight } from '../concurrency/single-flight.ts';
import {
  type CacheRow,
  type CacheState,
  type CacheStateReader,
  type CacheStateReading,
  createCacheStateReader,
  STATE_VALID_MS,
} from './cache-state.ts';
import type { CacheMeter } from './meter.ts';

export interface IncarnationOptions {
  readonly server: CacheServer;
  readonly row: CacheRow;
  /** The generation that this process reads and that every answer waits for; undefined if there is none. */
  readonly generation: () => number | undefined;
  /** Whether this generation is the only one that is read, and has applied all that others were asked to apply. */
  readonly mayBegin: (generation: number) => Promise<boolean>;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  readonly meter: Pick<CacheMeter, 'off'>;
  readonly report: (message: string) => void;
  /** No other process can reach the server, so no other process can use a row that this one has replaced. */
  readonly isExclusive?: boolean;
}

const ASK_EVERY_MS = 250;
/** A server that did not answer is not asked again for this long. */
const SERVER_PAUSE_MS = 1_000;
/**
 * How long no process may turn the cache on again after one that could not reach the server turned it off. That process extends
 * the time with each look.
 */
const HOLD_MS = 3_000;

/** The cache's incarnation as one process sees it. */
export interface Incarnation extends Stoppable {
  /** The incarnation in which entries may be read and filled now; undefined: none. */
  activeIncarnation(): string | undefined;
  /**
   * Resolves with the row when no process uses an older one. A process with an older row could miss the marks of a commit. `marks`:
   * entries of this generation are in use and have to be marked, and the server is the one that the row names.
   */
  awaitSettled(generation: number): Promise<{ readonly id: string; readonly marks: boolean }>;
  /** The database's clock in milliseconds, or some earlier time. */
  databaseTime(): number;
  /** Reads row and server again now, because one of them seems to have changed. */
  revalidate(): Promise<void>;
  /** The server did not answer. */
  failed(error: unknown): void;
  /** Turns the cache off if its row still has this id, because entries of that incarnation cannot be marked. */
  turnOff(id: string): Promise<void>;
}

export function createIncarnation(options: IncarnationOptions): Incarnation {
  const watch = new IncarnationWatch(options);
  const asking = poll(() => watch.ask(), {
    everyMs: ASK_EVERY_MS,
    wait: (ms) => watch.pause(ms),
    onFailure: (error) => options.report(`the cache is not used: ${reasonOf(error)}`),
  });
  return {
    activeIncarnation: () => watch.active(),
    awaitSettled: (generation) => watch.awaitSettled(generation),
    databaseTime: () => watch.databaseTime(),
    revalidate: () => watch.revalidate(),
    failed: (error) => watch.failed(error),
    turnOff: (id) => watch.turnOff(id),
    stop: () => asking.stop(),
  };
}

class IncarnationWatch {
  readonly #options: IncarnationOptions;
  readonly #reader: CacheStateReader;
  readonly #share = createSingleFlight();
  /** Id of the row whose server was verified over the current connection. */
  #verified: string | undefined;
  /** Counts events that invalidate a verification in progress, such as a lost connection. */
  #invalidations = 0;
  #serverPausedUntil = -Infinity;
  /** This process turned the cache off because it could not reach the server. */
  #isHolding = false;
  #lastProblem = '';
  #turnBeganAt = -Infinity;

  constructor(options: IncarnationOptions) {
    this.#options = options;
    this.#reader = createCacheStateReader(options.row, options.now, options.isExclusive ? 0 : STATE_VALID_MS);
    options.server.onReset(() => this.#invalidate());
  }

  ask(): Promise<void> {
    this.#turnBeganAt = this.#options.now();
    return this.#ask();
  }

  /** Waits between two turns, and counts how long nothing was cached. */
  async pause(ms: number): Promise<void> {
    const { now, pause, meter } = this.#options;
    await pause(ms);
    if (this.active() === undefined) meter.off(now() - this.#turnBeganAt);
  }

  active(): string | undefined {
    const { now, generation } = this.#options;
    return activeIn(this.#reader.last(), this.#verified, generation(), now());
  }

  databaseTime(): number {
    return this.#options.now() + (this.#reader.last()?.ahead ?? -Infinity);
  }

  revalidate(): Promise<void> {
    this.#invalidate();
    return this.#ask();
  }

  failed(error: unknown): void {
    this.#invalidate();
    this.#serverPausedUntil = this.#options.now() + SERVER_PAUSE_MS;
    this.#report(error);
  }

  async awaitSettled(generation: number): Promise<{ id: string; marks: boolean }> {
    if (!this.#reader.last()) await this.#ask();
    for (;;) {
      const last = this.#reader.last();
      if (!last) throw new Error('It is not known whether anything is cached.');
      const step = settlementOf(last, this.#verified, generation, this.#options.now());
      if (step.kind === 'settled') return { id: step.id, marks: step.marks };
      if (step.kind === 'wait') await this.#options.pause(step.ms);
      else await this.#verifyOrTurnOff(step.id);
    }
  }

  async turnOff(id: string, holdMs = 0): Promise<void> {
    this.#isHolding = this.#isServerPaused();
    await this.#options.row.turnOff(id, this.#isHolding ? HOLD_MS : holdMs);
    await this.#ask();
  }

  async #verifyOrTurnOff(id: string): Promise<void> {
    await this.#ask();
    if (this.#reader.last()?.state.id === id && this.#verified !== id) await this.turnOff(id, HOLD_MS);
  }

  #ask(): Promise<void> {
    return this.#share('ask', async () => {
      try {
        await this.#reader.refresh();
        await this.#verify();
        if (!this.#isServerPaused()) this.#lastProblem = '';
      } catch (error) {
        this.#report(error);
      }
    });
  }

  /** Checks that the server is the one that the row names, and begins a new incarnation if it is not. */
  async #verify(): Promise<void> {
    const { generation, now, row, mayBegin } = this.#options;
    const ownGeneration = generation();
    const last = this.#reader.last();
    if (
      !last ||
      this.#isServerPaused() ||
      (this.#verified === last.state.id && isOfGeneration(last.state, ownGeneration))
    )
      return;
    const before = this.#invalidations;
    const identity = await this.#identify(last.state);
    const isSame = isServerOf(last.state, identity);
    if (isSame) this.#setVerified(last.state.id, before);
    if (
      ownGeneration === undefined ||
      (isSame && isOfGeneration(last.state, ownGeneration)) ||
      !(await mayBegin(ownGeneration))
    )
      return;
    // Otherwise two processes that reach different servers would replace each other's row for ever, and no row would become settled.
    if (last.state.on && !isSame && now() < last.settledAt) return row.turnOff(last.state.id, HOLD_MS);
    await this.#begin(last.state.id, { runId: identity.runId, generation: ownGeneration }, before);
  }

  async #begin(from: string, of: Pick<CacheState, 'runId' | 'generation'>, before: number): Promise<void> {
    const { row, server } = this.#options;
    const next = { id: randomUUID(), previous: from, on: true, ...of };
    await row.replace(from, next, () => server.begin(next.id));
    if ((await this.#reader.refresh()).id === next.id) this.#setVerified(next.id, before);
  }

  /** The server's identity. Rejects when the server does not answer or must not be used; a cache that is held off then stays off. */
  async #identify({ id }: CacheState): Promise<Identity> {
    const { server, row } = this.#options;
    try {
      const identity = await server.identify();
      this.#isHolding &&= identity.unfit !== undefined;
      if (identity.unfit === undefined) return identity;
      throw new UnfitServer(identity.unfit);
    } catch (error) {
      if (!(error instanceof UnfitServer)) this.failed(error);
      throw error;
    } finally {
      if (this.#isHolding) await row.turnOff(id, HOLD_MS);
    }
  }

  #setVerified(id: string, before: number): void {
    if (before === this.#invalidations) this.#verified = id;
  }

  #invalidate(): void {
    this.#invalidations += 1;
    this.#verified = undefined;
  }

  #isServerPaused(): boolean {
    return this.#options.now() < this.#serverPausedUntil;
  }

  #report(error: unknown): void {
    const problem = reasonOf(error);
    if (problem !== this.#lastProblem) this.#options.report(`the cache is not used: ${problem}`);
    this.#lastProblem = problem;
  }
}

class UnfitServer extends Error {}

const isServerOf = ({ on, id, runId }: CacheState, identity: Identity): boolean =>
  on && runId === identity.runId && id === identity.incarnation;

/** True as well for a process that reads no generation, because none can differ. */
const isOfGeneration = (state: CacheState, generation: number | undefined): boolean =>
  generation === undefined || generation === state.generation;

function activeIn(
  last: CacheStateReading | undefined,
  verified: string | undefined,
  generation: number | undefined,
  now: number,
): string | undefined {
  if (!last || now - last.askedAt > STATE_VALID_MS) return undefined;
  const { id, on, generation: its } = last.state;
  return on && verified === id && its === generation ? id : undefined;
}

/** Whether a commit of the generation may go ahead, has to wait, or needs the server verified first. */
type Settlement =
  | { readonly kind: 'settled'; readonly id: string; readonly marks: boolean }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'unverified'; readonly id: string };

function settlementOf(
  { state: { id, on, generation: its }, settledAt }: CacheStateReading,
  verified: string | undefined,
  generation: number,
  now: number,
): Settlement {
  if (now < settledAt) return { kind: 'wait', ms: settledAt - now };
  if (!on || its !== generation) return { kind: 'settled', id, marks: false };
  return verified === id ? { kind: 'settled', id, marks: true } : { kind: 'unverified', id };
}
