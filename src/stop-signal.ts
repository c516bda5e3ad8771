const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** npm sends Ctrl-C on to us, whom the terminal has told already: what comes that soon is the same one. */
const SAME_SIGNAL_MS = 500;

/** This process, as far as it is told what to do. */
interface Told {
  on(signal: (typeof SIGNALS)[number], listener: () => void): unknown;
}

export interface StopHandlers {
  readonly first: (signal: string) => void;
  readonly second: () => void;
}

/** Aborts at the first signal to end. */
export function stopSignal(source: Told, { first, second }: StopHandlers, now = Date.now): AbortSignal {
  const stop = new AbortController();
  let since = 0;
  const handle = (name: string) => {
    if (stop.signal.aborted) {
      if (now() - since > SAME_SIGNAL_MS) second();
      return;
    }
    since = now();
    first(name);
    stop.abort();
  };
  for (const name of SIGNALS) source.on(name, () => handle(name));
  return stop.signal;
}
