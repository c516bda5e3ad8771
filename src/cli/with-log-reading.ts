import type { Position } from '../events/record.ts';
import { servingGenerations } from '../projections/generations/generations.ts';
import { READ_VERSION } from '../projections/projections.ts';
import { type LogReading, openLogReading } from '../transfer/log-reading.ts';
import { UnreadableLog } from '../event-store/judged-log.ts';
import { printError } from './print.ts';
import { type CommandContext, withResources } from './with-resources.ts';

export interface ReadingContext extends CommandContext {
  readonly reading: LogReading;
  /** The ends of all partitions when the command began, in the order of the log. Nothing behind them is read. */
  readonly ends: readonly Position[];
}

/** What a damaged log means for a command that reads it. */
const UNREADABLE = 2;

/** Runs a command that reads accepted events, of an embedded log or a broker's. Exit code 2 when the log cannot be judged to its end. */
export function withLogReading(
  work: (context: ReadingContext) => Promise<number>,
  options: { readonly endsOnInterrupt?: boolean } = {},
): Promise<number> {
  return withResources({ as: 'command', ...options }, async (context) => {
    const { log, placement, admin } = context;
    const [serving] = await admin.use((client) => servingGenerations(client, READ_VERSION));
    const reading = await openLogReading({ log, placement, admin, schema: serving?.schema });
    return work({ ...context, reading, ends: await log.ends(placement.all) }).catch((error: unknown) => {
      if (!(error instanceof UnreadableLog)) throw error;
      printError(error);
      return UNREADABLE;
    });
  });
}
