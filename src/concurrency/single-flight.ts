/** Lets those who want the same share one flight; whoever comes while it is under way waits for the next. */
export type SingleFlight = <T>(key: string, fly: () => Promise<T>) => Promise<T>;

interface Flight {
  readonly landed: Promise<void>;
  next?: Promise<unknown>;
}

/** Nobody gets an answer that was begun before he asked, and of each key one flight at a time is under way. */
export function createSingleFlight(): SingleFlight {
  const flights = new Map<string, Flight>();

  function depart<T>(key: string, fly: () => Promise<T>): Promise<T> {
    const flying = (async () => fly())(); // also when it throws at once
    const land = () => {
      if (flight.next === undefined) flights.delete(key);
    };
    const flight: Flight = { landed: flying.then(land, land) };
    flights.set(key, flight);
    return flying;
  }

  return (key, fly) => {
    const flight = flights.get(key);
    if (!flight) return depart(key, fly);
    // All who want one key want the same.
    return (flight.next ??= flight.landed.then(() => depart(key, fly))) as ReturnType<typeof fly>;
  };
}
