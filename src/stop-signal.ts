const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The terminal sends Ctrl-C to this process and to npm, which passes it on: a second signal that soon is the same one. */
const SAME_SIGNAL_MS = 500;

/** The part of `process` that signals come from. */
interface SignalSource {
  on(signal: (typeof SIGNALS)[number], listener: () => void): unknown;
}

export interface StopHandlers {
  readonly first: (signal: string) => void;
  readonly second: () => void;
}

/** Calls `first` at the first signal to end and `second` at the next one. The returned signal fires with the first. */
export function stopSignal(source: SignalSource, { first, second }: StopHandlers, now = Date.now): AbortSignal {
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
