import type { DeliveryContext, Next, Slice, SubscriptionHandler } from '../event-log.ts';

type Deliver = SubscriptionHandler['deliver'];

interface Waiting {
  readonly slices: readonly Slice[];
  readonly context: DeliveryContext;
  readonly done: PromiseWithResolvers<Next[]>;
}

/** A delivery takes well under a second. A partition that would exceed this waits for the next one. */
const MAX_RECORDS = 2_000;
/** Each delivery can use a connection to Postgres. */
const CONCURRENCY = 4;

/**
 * Combines the deliveries of one turn of the event loop. kafkajs delivers each partition of a fetch separately; one delivery of
 * all of them is one transaction instead of many. All share its outcome. `signal` is the subscription's. It is no `batch`, because
 * a delivery is limited by its records, not by its requests.
 */
export function coalesceDeliveries(handler: Pick<SubscriptionHandler, 'deliver'>, signal: AbortSignal): Deliver {
  const waiting: Waiting[] = [];
  let running = 0;

  function pump(): void {
    while (waiting.length > 0 && running < CONCURRENCY) {
      running++;
      void deliverAll(take(waiting)).finally(() => {
        running--;
        pump();
      });
    }
  }

  async function deliverAll(gathered: readonly Waiting[]): Promise<void> {
    const slices = gathered.flatMap((each) => each.slices);
    try {
      const nexts = await handler.deliver(slices, { signal, heartbeat: () => beat(gathered) });
      for (const { done } of gathered) done.resolve(nexts);
    } catch (error) {
      for (const { done } of gathered) done.reject(error);
    }
  }

  return (slices, context) => {
    const done = Promise.withResolvers<Next[]>();
    if (waiting.push({ slices, context, done }) === 1) setImmediate(pump);
    return done.promise;
  };
}

/** As many as fit into one delivery, but at least one. */
function take(waiting: Waiting[]): Waiting[] {
  let records = 0;
  const tooMuch = waiting.findIndex(({ slices }, index) => {
    for (const slice of slices) records += slice.records.length;
    return index > 0 && records > MAX_RECORDS;
  });
  return waiting.splice(0, tooMuch < 0 ? waiting.length : tooMuch);
}

/** Sends the heartbeat of every batch in the delivery. */
async function beat(gathered: readonly Waiting[]): Promise<void> {
  await Promise.all(gathered.map(({ context }) => context.heartbeat()));
}
