/**
 * Runs at most one call per key at a time. A caller that comes while a call is under way gets the result of the next one, so
 * no caller gets a result that was computed from what was there before it asked. Callers that wait for the next call share it.
 */
export type SingleFlight = <T>(key: string, work: () => Promise<T>) => Promise<T>;

interface Flight {
  readonly landed: Promise<void>;
  next?: Promise<unknown>;
}

export function createSingleFlight(): SingleFlight {
  const running = new Map<string, Flight>();

  function depart<T>(key: string, work: () => Promise<T>): Promise<T> {
    const flying = (async () => work())(); // turns a synchronous throw into a rejection
    const land = () => {
      if (flight.next === undefined) running.delete(key);
    };
    const flight: Flight = { landed: flying.then(land, land) };
    running.set(key, flight);
    return flying;
  }

  return (key, work) => {
    const flight = running.get(key);
    if (!flight) return depart(key, work);
    // All callers of one key ask for the same type.
    return (flight.next ??= flight.landed.then(() => depart(key, work))) as ReturnType<typeof work>;
  };
}

/** Callers that come while a call is under way share its result. For results that may be a moment old, such as a health check. */
export function shareRunning<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () =>
    (running ??= work().finally(() => {
      running = undefined;
    }));
}
