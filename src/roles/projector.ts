import { consumerProbe } from '../probes.ts';
import { startProjector } from '../consumers/projector.ts';
import type { GenerationProjectors } from '../projections/engine/generation-projectors.ts';
import { observeProjector } from '../projections/engine/observe.ts';
import type { CacheService } from './cache.ts';
import type { Context, Part } from './context.ts';

/** Starts to apply the log to the read models. */
export async function addProjector(context: Context, cache: CacheService): Promise<Part<GenerationProjectors>> {
  const { config, logger, lifecycle, registry, resources, commits, consumers, ownership, faults, crash } = context;
  const { log, placement, admin, connection } = resources;
  const { durable } = await log.durability(placement.topics);
  const projectors = await startProjector({
    connection,
    log,
    placement,
    logger,
    admin,
    synchronousCommit: config.PROJECTOR_COMMIT === 'sync' || (config.PROJECTOR_COMMIT === 'auto' && !durable),
    faults,
    observer: observeProjector(logger, registry, commits.announce),
    onCrash: crash,
    consumers,
    ownership,
    cache,
  });
  lifecycle.add('projector', projectors);
  return { service: projectors, probes: { projector: consumerProbe(projectors.health, 'applied') } };
}
