import { SCOPES } from '../consumers/scopes.ts';
import { jobPartitions, readQueueProgress } from '../jobs/queue-feed.ts';
import { lagsProbe } from '../probes.ts';
import { type StoredLag, watchStoredLag } from '../projections/engine/stored-lag.ts';
import type { Context, Part } from './context.ts';

interface QueueLag {
  readonly name: string;
  readonly lag: StoredLag;
}

/** Shows the queues of jobs that this process does not serve, because every process that does may be dead. */
export function watchQueueLags(context: Context): Part<readonly QueueLag[]> {
  const others = SCOPES.filter(({ group }) => !context.config.ROLES.some((role) => role === group));
  const lags = others.map((scope) => watchQueueLag(context, scope));
  return { service: lags, probes: lags.length > 0 ? { queues: lagsProbe(lags, 'queued') } : {} };
}

/** A queue that no process has ever served has no group. */
function watchQueueLag({ lifecycle, resources, consumers }: Context, scope: (typeof SCOPES)[number]): QueueLag {
  const { log, placement, admin } = resources;
  let hasGroup = false;
  const lag = watchStoredLag({
    log,
    consumers,
    partitions: jobPartitions(placement),
    besideMember: false,
    group: () => (hasGroup ? `${placement.namespace}.${scope.group}` : undefined),
    async progress() {
      const stored = await readQueueProgress(admin, placement, scope);
      hasGroup = stored.length > 0;
      return stored;
    },
  });
  lifecycle.add(`lag of the ${scope.group}`, lag);
  return { name: scope.group, lag };
}
