import { throttled } from '../concurrency/throttle.ts';
import { lagProbe, quarantineProbe, readModelProbe } from '../probes.ts';
import { readProgress } from '../projections/engine/consumer.ts';
import { projectorGroup } from '../projections/engine/generation-projector.ts';
import { watchStoredLag } from '../projections/engine/stored-lag.ts';
import { openReadModel, type ReadModel } from '../projections/generations/read-model.ts';
import { READ_VERSION } from '../projections/projections.ts';
import type { Context, Part } from './context.ts';

/** The read models, as they are queried. Queries fail with NOT_READY until a generation has caught up with the log. */
export function openReads({ config, lifecycle, logger, resources, consumers }: Context): Part<ReadModel> {
  const { connection, admin, log, placement } = resources;
  const reads = openReadModel({
    connection,
    namespace: config.NAMESPACE,
    version: READ_VERSION,
    max: 10,
    admin,
    ends: () => log.ends(placement.all),
    report: throttled((message) => logger.warn(message)),
  });
  const lag = watchStoredLag({
    group() {
      const generation = reads.generation();
      return generation && projectorGroup(placement, generation);
    },
    progress: () => readProgress(reads),
    log,
    consumers,
    partitions: placement.all,
    besideMember: config.ROLES.includes('projector'),
  });
  lifecycle.add('read model', reads);
  lifecycle.add('lag of the read model', lag);
  return {
    service: reads,
    probes: { reads: readModelProbe(reads), lag: lagProbe(lag), quarantine: quarantineProbe(reads) },
  };
}
