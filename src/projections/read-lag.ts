import type { Placement } from '../events/placement.ts';
import { sleep, type Stoppable } from '../lifecycle.ts';
import type { EventLog } from '../log/event-log.ts';
import { readProgress } from './consumer.ts';
import type { Consumers } from './consumers.ts';
import { projectorGroup } from './feed.ts';
import { LagWatch, type PartitionHealth } from './lag.ts';
import type { ReadModel } from './read-model.ts';

export interface ReadLagOptions {
  readonly reads: Pick<ReadModel, 'query' | 'generation'>;
  readonly log: Pick<EventLog, 'ends'>;
  readonly placement: Placement;
  readonly consumers: Consumers;
  /** Whether the projector runs in this process, which then shows the same group by itself. */
  readonly besideProjector: boolean;
}

export interface ReadLag extends Stoppable {
  /** Looks now. */
  look(): Promise<PartitionHealth[]>;
}

const LOOK_MAX_MS = 5_000;
const LOOKS_PER_ALARM = 3;

/** Follows how far the build that this process reads is behind the log: the projector may be frozen, or serve another database. */
export function watchReadLag({ reads, log, placement, consumers, besideProjector }: ReadLagOptions): ReadLag {
  const lag = new LagWatch(placement.all, consumers.lagAlarmMs);
  const stopping = new AbortController();

  async function look(): Promise<PartitionHealth[]> {
    const stored = await readProgress(reads);
    lag.look(stored, await log.ends(placement.all));
    return lag.health();
  }

  function observed() {
    const generation = reads.generation();
    return generation && { group: projectorGroup(placement, generation), partitions: lag.health() };
  }

  const everyMs = Math.min(LOOK_MAX_MS, consumers.lagAlarmMs / LOOKS_PER_ALARM);
  const looking = (async () => {
    while (!stopping.signal.aborted) {
      await look().catch(() => undefined); // the probes of Postgres, the log and the reads report it
      await sleep(everyMs, stopping.signal);
    }
  })();
  const hide = besideProjector ? undefined : consumers.observe(observed);
  return {
    look,
    async stop() {
      hide?.();
      stopping.abort();
      await looking;
    },
  };
}
