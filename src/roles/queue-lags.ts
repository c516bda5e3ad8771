import { SCOPES } from '../consumers/scopes.ts';
import { jobPartitions, readQueueProgress } from '../jobs/queue-feed.ts';
import { lagsProbe } from '../probes.ts';
import { watchStoredLag } from '../projections/engine/stored-lag.ts';
import type { Context } from './context.ts';

/** Shows the queues of jobs for which this process does not work: every process that does may be dead. */
export function addQueueLags({ config, lifecycle, resources, probes, consumers }: Context): void {
  const { log, placement, admin } = resources;
  const others = SCOPES.filter(({ group }) => !config.ROLES.some((role) => role === group));
  const lags = others.map((scope) => {
    let isThere = false;
    const lag = watchStoredLag({
      log,
      consumers,
      partitions: jobPartitions(placement),
      besideMember: false,
      group: () => (isThere ? `${placement.namespace}.${scope.group}` : undefined),
      async progress() {
        const stored = await readQueueProgress(admin, placement, scope);
        isThere = stored.length > 0;
        return stored;
      },
    });
    lifecycle.add(`lag of the ${scope.group}`, lag);
    return { name: scope.group, lag };
  });
  if (lags.length > 0) probes.queues = lagsProbe(lags, 'queued');
}
