import { isatty } from 'node:tty';
import { type Logger, pino } from 'pino';
import { loggedError } from './errors.ts';

const STDOUT = 1;

export interface LoggerOptions {
  /** The file descriptor that lines are written to; stdout unless it is given. */
  readonly to?: number;
  /** Whether a person reads along. */
  readonly isTerminal?: boolean;
}

/** Writes readable lines to a terminal and JSON everywhere else, where programs read it. */
export async function openLogger(
  level: string,
  { to = STDOUT, isTerminal = isatty(to) }: LoggerOptions = {},
): Promise<Logger> {
  const options = { level, base: undefined, serializers: { err: loggedError } };
  if (!isTerminal) return pino(options, pino.destination(to));
  // Not loaded elsewhere. It writes at once, so that the last line before the end of the process is shown too.
  const { default: pretty } = await import('pino-pretty');
  return pino(options, pretty({ destination: to, sync: true, translateTime: 'SYS:HH:MM:ss', singleLine: true }));
}
