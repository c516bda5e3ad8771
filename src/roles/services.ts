import { setTimeout as delay } from 'node:timers/promises';
import { type Commands, createCommands } from '../commands/commands.ts';
import { throttled } from '../concurrency/throttle.ts';
import type { Config } from '../config.ts';
import { type AppenderLimits, createAppender } from '../event-store/appender.ts';
import { createPostgresStreams } from '../event-store/postgres-streams.ts';
import { createVerdicts, type Verdicts } from '../event-store/verdicts.ts';
import { parseNotice } from '../events/commit-notice.ts';
import { newId } from '../events/ids.ts';
import { listen } from '../postgres/listen.ts';
import { mailProbe, timed } from '../probes.ts';
import type { ReadModel } from '../projections/generations/read-model.ts';
import type { Files } from '../providers/files/files.ts';
import { openFiles } from '../providers/files/providers.ts';
import { channelOf } from './commits.ts';
import type { Context, Part } from './context.ts';

/** What every role uses that queries and commands. */
export interface Services {
  readonly reads: ReadModel;
  readonly commands: Commands;
  readonly files: Files;
}

export async function openServices(context: Context, reads: ReadModel): Promise<Part<Services>> {
  const { config, lifecycle, resources } = context;
  const commands = openCommands(context, reads);
  const files = lifecycle.add('files', await openFiles(config));
  return {
    service: { reads, commands, files },
    probes: {
      files: { needed: 'never', check: timed(() => files.check()) },
      mail: mailProbe(resources, config.mail.enabled),
    },
  };
}

function openCommands(context: Context, reads: ReadModel): Commands {
  const { config, resources, faults } = context;
  const { log, placement } = resources;
  const streams = createPostgresStreams(reads, config.NAMESPACE);
  return createCommands({
    streams,
    appender: createAppender(log, appenderLimits(config)),
    verdicts: openVerdicts(context, streams),
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

/** With brokers the projector may be another process, whose commits come by NOTIFY. */
function openVerdicts(
  { config, lifecycle, logger, resources: { connection }, commits }: Context,
  streams: ReturnType<typeof createPostgresStreams>,
): Verdicts {
  const verdicts = lifecycle.add('verdicts', createVerdicts({ streams, pollMs: 150 }));
  commits.subscribe(verdicts.onCommit);
  if (config.KAFKA_BROKERS) {
    const report = throttled((message) => logger.warn(message));
    const onNotice = (notice: string | undefined) => commits.onCommit(parseNotice(notice));
    lifecycle.add('listener', listen({ connection, channel: channelOf(config), onNotice, report }));
  }
  return verdicts;
}

const appenderLimits = ({ APPEND_IN_FLIGHT, APPEND_RECORDS, APPEND_BYTES }: Config): AppenderLimits => ({
  inFlight: APPEND_IN_FLIGHT,
  records: APPEND_RECORDS,
  partitionBytes: APPEND_BYTES,
});
