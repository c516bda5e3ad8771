import type { Timers } from '../../src/event-store/verdicts.ts';

/** An actor that takes steps: a process, a client, the network. */
export interface Actor {
  readonly name: string;
  /** It takes no step before this time: it is paused, and cannot detect it. */
  pausedUntil: number;
  dead: boolean;
}

interface Step {
  readonly actor: Actor;
  readonly due: number;
  readonly ready: (() => boolean) | undefined;
  /** A request in transit: it arrives even if its sender is paused or dead. */
  readonly sent: boolean;
  readonly run: () => void;
}

/** Read once: in jest every look-up of a global is slow, and random numbers alone were a fifth of the time. */
const { imul, floor } = Math;
const { nextTick } = process;

/** The same numbers for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = imul(state ^ (state >>> 15), 1 | state);
    t = (t + imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Holds everything that can happen next, and picks one step at random. Time is the number of steps taken: an actor that
 * waits for a time is skipped until then, and when all of them wait the time jumps.
 */
export class Scheduler {
  time = 0;
  readonly random: () => number;
  #steps: Step[] = [];

  constructor(seed: number) {
    this.random = createRandom(seed);
  }

  pick(count: number): number {
    return floor(this.random() * count);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  actor(name: string): Actor {
    return { name, pausedUntil: 0, dead: false };
  }

  /** Waits for the actor's turn. */
  turn(actor: Actor, ready?: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#add({ actor, ready, run: resolve });
    return promise;
  }

  sleep(actor: Actor, steps: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#add({ actor, due: this.time + steps, run: resolve });
    return promise;
  }

  /** A call of a server: its effect and the arrival of its answer are two steps, sometimes one. */
  call<T>(actor: Actor, effect: () => T, arrives: () => void = () => undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const orFail = (what: () => void) => () => {
      try {
        what();
      } catch (error) {
        reject(error);
      }
    };
    const execute = () => {
      const result = effect();
      const answer = orFail(() => {
        arrives();
        resolve(result);
      });
      if (actor.dead) return;
      if (this.#isAwake(actor) && this.chance(0.4)) answer();
      else this.#add({ actor, run: answer });
    };
    this.#add({ actor, sent: this.chance(0.5), run: orFail(execute) });
    return promise;
  }

  clock(actor: Actor): Timers {
    return {
      after: (ms, call) => this.#add({ actor, due: this.time + ms, run: call }),
      every: (ms, call) => {
        let cancel = () => undefined as void;
        const again = () => {
          cancel = this.#add({ actor, due: this.time + ms, run: again });
          call();
        };
        cancel = this.#add({ actor, due: this.time + ms, run: again });
        return () => cancel();
      },
    };
  }

  /** Ends the actor. What it sent may still arrive. */
  kill(actor: Actor): void {
    actor.dead = true;
    this.#steps = this.#steps.filter((step) => step.actor !== actor || step.sent);
  }

  /** Takes one step, and runs everything that follows from it at once. False when there is none to take. */
  async step(): Promise<boolean> {
    const step = this.#take();
    if (!step) return false;
    this.time++;
    step.run();
    await settled();
    return true;
  }

  #add({ due = 0, ready, sent = false, actor, run }: Pick<Step, 'actor' | 'run'> & Partial<Step>): () => void {
    const step: Step = { due, ready, sent, actor, run };
    if (!actor.dead) this.#steps.push(step);
    return () => {
      const index = this.#steps.indexOf(step);
      if (index >= 0) this.#steps.splice(index, 1);
    };
  }

  #isAwake(actor: Actor): boolean {
    return actor.pausedUntil <= this.time;
  }

  #take(): Step | undefined {
    let candidates = this.#candidates();
    if (candidates.length === 0) {
      this.time = Math.max(this.time, this.#nextDue());
      candidates = this.#candidates();
    }
    const index = candidates[this.pick(candidates.length)];
    if (index === undefined) return undefined;
    const [step] = this.#steps.splice(index, 1);
    return step;
  }

  #candidates(): number[] {
    const found: number[] = [];
    for (const [index, { actor, due, ready, sent }] of this.#steps.entries()) {
      if (due <= this.time && (sent || this.#isAwake(actor)) && (!ready || ready())) found.push(index);
    }
    return found;
  }

  /** The earliest time at which an actor can continue that only waits for the time now. */
  #nextDue(): number {
    let next = Infinity;
    for (const { actor, due, ready } of this.#steps) {
      if (!ready || ready()) next = Math.min(next, Math.max(due, actor.pausedUntil));
    }
    return next === Infinity ? 0 : next;
  }
}

/** Node runs a tick only after every settled promise has been followed up. */
const settled = () => new Promise<void>((resolve) => nextTick(resolve));
