import type { DeliveryContext, Next, Slice, SubscriptionHandler } from '../event-log.ts';

type Deliver = SubscriptionHandler['deliver'];

interface Waiting {
  readonly slices: readonly Slice[];
  readonly context: DeliveryContext;
  readonly done: PromiseWithResolvers<Next[]>;
}

/** A delivery takes well under a second: more than this, and what would be one more partition waits for the next. */
const RECORDS_A_DELIVERY = 2_000;
/** Each can take a connection to Postgres. */
const DELIVERIES_AT_ONCE = 4;

/**
 * Hands to the handler together what is delivered in one turn of the event loop. kafkajs brings each partition of a fetch by
 * itself; one delivery of all of them is one transaction instead of many. All share its outcome. `signal` is the subscription's.
 */
export function coalesceDeliveries(handler: Pick<SubscriptionHandler, 'deliver'>, signal: AbortSignal): Deliver {
  const waiting: Waiting[] = [];
  let underWay = 0;

  function pump(): void {
    while (waiting.length > 0 && underWay < DELIVERIES_AT_ONCE) {
      underWay++;
      void hand(take(waiting)).finally(() => {
        underWay--;
        pump();
      });
    }
  }

  async function hand(gathered: readonly Waiting[]): Promise<void> {
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

/** As many as fit one delivery, but at least one. */
function take(waiting: Waiting[]): Waiting[] {
  let records = 0;
  const tooMuch = waiting.findIndex(({ slices }, index) => {
    for (const slice of slices) records += slice.records.length;
    return index > 0 && records > RECORDS_A_DELIVERY;
  });
  return waiting.splice(0, tooMuch < 0 ? waiting.length : tooMuch);
}

/** Each tells the group of its own batch. */
async function beat(gathered: readonly Waiting[]): Promise<void> {
  await Promise.all(gathered.map(({ context }) => context.heartbeat()));
}
