import { reasonOf, unavailable } from '../errors.ts';
import type { Appender } from '../event-store/appender.ts';
import type { Claim } from '../event-store/stream-store.ts';
import type { Settled, Verdicts } from '../event-store/verdicts.ts';
import { encodeEvent, subjectOf } from '../events/codec.ts';
import { toRecord } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import type { LogRecord } from '../events/record.ts';
import type { Faults } from '../faults.ts';
import { AppendError } from '../log/event-log.ts';
import type { CommandOrigin } from './command.ts';

export interface AppendOptions {
  readonly appender: Appender;
  readonly verdicts: Pick<Verdicts, 'verdictOn'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly verdictWaitMs: number;
  readonly faults?: Faults;
}

/** An event that was decided on the stream's head `prev`. */
export interface Decided {
  readonly claim: Claim;
  readonly event: AnyEvent;
  readonly prev: string;
  readonly origin: CommandOrigin;
}

/**
 * Appends and waits for the verdict, not for the acknowledgement: a judged record was read from the log, and only what all
 * in-sync replicas have can be read. An append with an unknown outcome is not a failure, because the verdict still tells the
 * outcome. Throws LOG_UNAVAILABLE when the log refused the record.
 */
export function appendEvent(options: AppendOptions, decided: Decided): Promise<Settled> {
  const { appender, verdicts, now, verdictWaitMs, faults = {} } = options;
  const { topic, partition } = decided.claim;
  const record = recordOf(decided, new Date(now()).toISOString());
  faults['before-append']?.();
  const appended = appender.append({ topic, partition, record });
  const refused = refusalOf(appended, faults['after-append']);
  return Promise.race([verdicts.verdictOn(decided.claim, verdictWaitMs), refused]);
}

function recordOf({ claim, event, prev, origin }: Decided, time: string): LogRecord {
  const { commandId, actor, correlationId, bodyHash } = origin;
  const envelope = {
    id: claim.recordId,
    type: subjectOf(event.type),
    stream: claim.stream,
    time,
    version: claim.version,
    prev,
    commandId,
    actor,
    correlationId,
    causationId: commandId,
    bodyHash,
  };
  return toRecord(envelope, encodeEvent(event));
}

/** Rejects when nothing of the append is or will be in the log; settles in no other case. */
function refusalOf(appended: Promise<void>, acknowledged?: () => void): Promise<never> {
  return new Promise((_, reject) => {
    appended.then(acknowledged, (error: unknown) => {
      if (!(error instanceof AppendError)) reject(error instanceof Error ? error : new Error(reasonOf(error)));
      else if (error.outcome === 'refused') {
        reject(unavailable('LOG_UNAVAILABLE', 'The log takes no records now.', error));
      }
    });
  });
}
