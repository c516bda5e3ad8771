import { collectDefaultMetrics } from 'prom-client';
import { Consumers } from '../projections/engine/consumers.ts';
import { openResources } from '../resources.ts';
import { createCommits } from './commits.ts';
import type { Context, ProcessOptions } from './context.ts';
import { prepareLog } from './log.ts';

// The parts that a process of any role may have; `main.ts` imports them together.
export { openCache } from './cache.ts';
export { createProcessHealth, startHealth } from './health.ts';
export { startLogWatch } from './log-watch.ts';
export { startProjector } from './projector.ts';

/** Opens Postgres and the log, and checks that this process may work on them. */
export async function openContext(options: ProcessOptions): Promise<Context> {
  const { config, logger, lifecycle, registry } = options;
  collectDefaultMetrics({ register: registry });
  const resources = await openResources({ config, logger, lifecycle, as: 'server' });
  return {
    ...options,
    resources,
    ownership: await prepareLog(resources, options),
    consumers: new Consumers(registry, config.LAG_ALARM_SECONDS * 1_000),
    commits: createCommits(resources, config),
  };
}
