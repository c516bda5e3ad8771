/** The same warning is logged at most once in this time. */
const EVERY_MS = 10_000;
/** Warnings that are remembered. The oldest ones beyond that are forgotten and may be logged again. */
const MAX_WARNINGS = 200;

export interface ThrottleOptions {
  readonly everyMs?: number;
  readonly now?: () => number;
}

/** The message to log, with the number of suppressed ones; undefined when it is suppressed itself. */
export type Throttle = (message: string, warning?: string) => string | undefined;

/** The text after the first colon of a message is its reason. Messages that differ only there are the same warning. */
const warningIn = (message: string): string => message.split(': ', 1)[0] ?? '';

/** Passes the same warning at most every ten seconds, because loops retry many times a second while a server is down. */
export function createThrottle({ everyMs = EVERY_MS, now = Date.now }: ThrottleOptions = {}): Throttle {
  const warnings = new Map<string, { since: number; leftOut: number }>();
  return (message, warning = warningIn(message)) => {
    const last = warnings.get(warning);
    if (last && now() - last.since < everyMs) {
      last.leftOut++;
      return undefined;
    }
    warnings.delete(warning);
    warnings.set(warning, { since: now(), leftOut: 0 });
    if (warnings.size > MAX_WARNINGS) warnings.delete(warnings.keys().next().value ?? '');
    return last && last.leftOut > 0 ? `${message} (and ${last.leftOut} times more before)` : message;
  };
}

/** The same around a function that logs warnings. */
export function throttled(log: (message: string) => void, options?: ThrottleOptions): (message: string) => void {
  const throttle = createThrottle(options);
  return (message) => {
    const line = throttle(message);
    if (line !== undefined) log(line);
  };
}
