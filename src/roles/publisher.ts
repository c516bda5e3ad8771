import { type Publisher, startPublisher } from '../consumers/publisher.ts';
import { consumerProbe } from '../probes.ts';
import type { ReadModel } from '../projections/generations/read-model.ts';
import type { Context, Part } from './context.ts';

/** Starts to publish accepted events to the topics for readers. */
export async function addPublisher(context: Context, reads: ReadModel): Promise<Part<Publisher>> {
  const { logger, lifecycle, resources, consumers, faults, crash } = context;
  const { log, placement } = resources;
  const publisher = await startPublisher({
    log,
    placement,
    database: reads,
    logger,
    consumers,
    faults,
    onCrash: crash,
  });
  lifecycle.add('publisher', publisher);
  return { service: publisher, probes: { publisher: consumerProbe(publisher.health, 'published') } };
}
