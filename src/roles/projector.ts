import { consumerProbe } from '../probes.ts';
import { type GenerationProjectors, startGenerationProjectors } from '../projections/engine/generation-projectors.ts';
import { observeProjector } from '../projections/engine/observe.ts';
import { projections, READ_VERSION } from '../projections/projections.ts';
import type { CacheService } from './cache.ts';
import type { Context, Part } from './context.ts';

/** Starts to apply the log to the read models. */
export async function startProjector(context: Context, cache: CacheService): Promise<Part<GenerationProjectors>> {
  const { config, logger, lifecycle, registry, resources, commits, consumers, ownership, faults, crash } = context;
  const { log, placement, admin, connection } = resources;
  const { durable } = await log.durability(placement.topics);
  const projectors = await startGenerationProjectors({
    connection,
    log,
    placement,
    projections,
    logger,
    admin,
    version: READ_VERSION,
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
