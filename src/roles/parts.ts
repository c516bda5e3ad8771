import { setTimeout as delay } from 'node:timers/promises';
import { type AppenderLimits, createAppender } from '../event-store/appender.ts';
import { type Commands, createCommands } from '../commands/commands.ts';
import { createPostgresStreams } from '../event-store/postgres-streams.ts';
import { createVerdicts } from '../event-store/verdicts.ts';
import type { Config } from '../config.ts';
import { newId } from '../events/ids.ts';
import { parseNotice } from '../events/commit-notice.ts';
import type { Files } from '../providers/files/files.ts';
import { openFiles } from '../providers/files/providers.ts';
import { listen } from '../postgres/listen.ts';
import { lagProbe, mailProbe, quarantineProbe, readModelProbe, timed } from '../probes.ts';
import { readProgress } from '../projections/engine/consumer.ts';
import { projectorGroup } from '../projections/engine/generation-projector.ts';
import { READ_VERSION } from '../projections/projections.ts';
import { openReadModel, type ReadModel } from '../projections/generations/read-model.ts';
import { watchStoredLag } from '../projections/engine/stored-lag.ts';
import { throttled } from '../concurrency/throttle.ts';
import { channelOf, type Context } from './context.ts';

function addReads({ config, lifecycle, logger, resources, probes, cache, consumers }: Context): ReadModel {
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
  const besideProjector = config.ROLES.includes('projector');
  const lag = watchStoredLag({
    group() {
      const generation = reads.generation();
      return generation && projectorGroup(placement, generation);
    },
    progress: () => readProgress(reads),
    log,
    consumers,
    partitions: placement.all,
    besideMember: besideProjector,
  });
  Object.assign(probes, {
    reads: readModelProbe(reads),
    lag: lagProbe(lag),
    quarantine: quarantineProbe(reads),
  });
  cache.readBy(reads);
  lifecycle.add('read model', reads);
  lifecycle.add('lag of the read model', lag);
  return reads;
}

/** What those share who read and command. */
export async function addServices(context: Context): Promise<Services> {
  const { config, lifecycle } = context;
  const reads = addReads(context);
  const commands = addCommands(context, reads);
  const files = lifecycle.add('files', await openFiles(config));
  context.probes.files = { needed: 'never', check: timed(() => files.check()) };
  context.probes.mail = mailProbe(context.resources, config.mail.enabled);
  return { reads, commands, files };
}

function addCommands({ config, lifecycle, logger, resources, commits, faults }: Context, reads: ReadModel): Commands {
  const { log, placement, connection } = resources;
  const streams = createPostgresStreams(reads, config.NAMESPACE);
  const verdicts = lifecycle.add('verdicts', createVerdicts({ streams, pollMs: 150 }));
  commits.subscribe(verdicts.onCommit);
  if (config.KAFKA_BROKERS) {
    const report = throttled((message) => logger.warn(message));
    lifecycle.add(
      'listener',
      listen({
        connection,
        channel: channelOf(config),
        onNotice: (notice) => commits.onCommit(parseNotice(notice)),
        report,
      }),
    );
  }
  return createCommands({
    streams,
    appender: createAppender(log, appenderLimits(config)),
    verdicts,
    placement,
    newId,
    now: Date.now,
    faults,
    pause: (retry) => delay(Math.random() * Math.min(50, 5 * 2 ** retry)),
    limits: {
      verdictWaitMs: config.VERDICT_WAIT_SECONDS * 1_000,
      retries: config.COMMAND_RETRIES,
      streams: config.STREAMS_REMEMBERED,
    },
  });
}

const appenderLimits = ({ APPEND_IN_FLIGHT, APPEND_RECORDS, APPEND_BYTES }: Config): AppenderLimits => ({
  inFlight: APPEND_IN_FLIGHT,
  records: APPEND_RECORDS,
  partitionBytes: APPEND_BYTES,
});

export interface Services {
  readonly reads: ReadModel;
  readonly commands: Commands;
  readonly files: Files;
}
