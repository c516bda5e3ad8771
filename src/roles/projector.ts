import { startProjector } from '../consumers/projector.ts';
import type { GenerationProjectors } from '../projections/engine/generation-projectors.ts';
import { observeProjector } from '../projections/engine/observe.ts';
import type { Context } from './context.ts';

/** Whoever reads the log into the read models. */
export async function addProjector({
  config,
  logger,
  lifecycle,
  registry,
  resources,
  commits,
  cache,
  consumers,
  ownership,
  faults,
  crash,
}: Context): Promise<GenerationProjectors> {
  const { log, placement, admin, connection } = resources;
  const { durable } = await log.durability(placement.topics);
  const synchronousCommit = config.PROJECTOR_COMMIT === 'sync' || (config.PROJECTOR_COMMIT === 'auto' && !durable);
  const feeds = await startProjector({
    connection,
    log,
    placement,
    logger,
    admin,
    synchronousCommit,
    faults,
    observer: observeProjector(logger, registry, commits.announce),
    onCrash: crash,
    consumers,
    ownership,
    cache,
  });
  return lifecycle.add('projector', feeds);
}
