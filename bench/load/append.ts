import { createAppender } from '../../src/event-store/appender.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { idFromCommand } from '../../src/events/ids.ts';
import { createPlacement } from '../../src/events/placement.ts';
import type { Append } from '../../src/log/event-log.ts';
import { topicsOf } from '../../src/log/topics.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createAuthor } from '../generator/author.ts';
import { createChance } from '../generator/chance.ts';
import { type LogPlace, openLog } from '../log.ts';
import { closedLoop, type LoadResult, measure, type Window } from './meter.ts';

export interface AppendLoad extends Window {
  readonly kind: 'append';
  /** The place of the broker or database. The log is beside the product's own. */
  readonly log: LogPlace;
  readonly workers: number;
  /** The payload of every record; each is the first of a stream of its own. */
  readonly event: AnyEvent;
  /** The category of these streams. */
  readonly category: 'album' | 'playlist';
}

const placement = createPlacement('bench_append', 6);
const RECORDS = 10_000;

/** The same appender and the same records, which no process reads or judges. */
export async function loadAppend({ log: place, workers, event, category, ...window }: AppendLoad): Promise<LoadResult> {
  if ('connection' in place) await migrate({ ...place, namespace: placement.namespace });
  const log = await openLog(place, placement.namespace);
  try {
    await log.createTopics(topicsOf(placement));
    const records = inTurn(firstRecords({ event, category }));
    const appender = createAppender(log);
    return await measure(
      window,
      closedLoop(workers, () => appender.append(records.next().value)),
    );
  } finally {
    await log.close();
  }
}

/** Records as the write side writes them. */
function firstRecords({ event, category }: Pick<AppendLoad, 'event' | 'category'>): Append[] {
  const author = createAuthor(createChance(1), placement, Date.now());
  return Array.from({ length: RECORDS }, () => {
    const origin = author.receive();
    const stream = idFromCommand(category, origin.commandId);
    return author.write({ stream, version: 1, prev: '', origin, event }).append;
  });
}

function* inTurn<T>(items: readonly T[]): Generator<T, never> {
  for (;;) yield* items;
}
