/** How often the same warning may come. */
const EVERY_MS = 10_000;
/** Warnings that are remembered; of more, the oldest are forgotten and may come again. */
const MAX_WARNINGS = 200;

export interface ThrottleOptions {
  readonly everyMs?: number;
  readonly now?: () => number;
}

/** What is to be said of a message, with the number of those that were left out; undefined when it is to be left out. */
export type Throttle = (message: string, warning?: string) => string | undefined;

/** What follows the first colon of a message is its reason, which may differ. */
const warningIn = (message: string): string => message.split(': ', 1)[0] ?? '';

/** Lets the same warning through at most every ten seconds: loops try again many times a second while a server is away. */
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

/** The same for a function that takes warnings. */
export function throttled(say: (message: string) => void, options?: ThrottleOptions): (message: string) => void {
  const throttle = createThrottle(options);
  return (message) => {
    const line = throttle(message);
    if (line !== undefined) say(line);
  };
}
