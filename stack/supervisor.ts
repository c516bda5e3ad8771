import { Lifecycle, type Stoppable } from '../src/lifecycle.ts';
import { explained } from './child.ts';
import type { Service } from './service.ts';

export interface Supervisor {
  /** Fires when a service has ended by itself, and when the given signal fires. */
  readonly signal: AbortSignal;
  /** Resolves with the first service that ended by itself, and its last lines. */
  readonly failure: Promise<Error>;
  /** Stops it in its turn, though it is no process. */
  hold(name: string, thing: Stoppable): void;
  /** Watches over a service that is ready, and stops it in its turn. */
  add<S extends Service>(service: S): S;
  /** Stops everything in reverse order. Twice is fine. */
  stop(): Promise<void>;
}

const STOP_WITHIN_MS = 120_000;

/** Watches over services: reports when one is ready and when one dies, and stops them in reverse order. */
export function supervise(say: (line: string) => void, given: AbortSignal): Supervisor {
  const lifecycle = new Lifecycle(say);
  const failure = Promise.withResolvers<Error>();
  const failed = new AbortController();
  const signal = AbortSignal.any([given, failed.signal]);
  let stopping = false;

  const watch = async (service: Service) => {
    const how = await service.ended;
    if (stopping) return;
    const error = new Error(await explained(`${service.name} ended by itself (${how})`, service));
    failure.resolve(error);
    failed.abort(error);
  };
  const stop = async (service: Service) => {
    await service.stop();
    say(`${service.name} is stopped`);
  };
  return {
    signal,
    failure: failure.promise,
    hold: (name, thing) => void lifecycle.add(name, thing),
    add(service) {
      lifecycle.add(service.name, { stop: () => stop(service) });
      void watch(service);
      say(`${service.name.padEnd(10)} ${service.address} (pid ${service.pid})`);
      signal.throwIfAborted();
      return service;
    },
    stop() {
      stopping = true;
      return lifecycle.stop(STOP_WITHIN_MS);
    },
  };
}
