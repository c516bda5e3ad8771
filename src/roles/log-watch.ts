import { Gauge } from 'prom-client';
import { type LogWatch, watchLog } from '../log/watch.ts';
import { alarmsProbe } from '../probes.ts';
import { noteLossOf } from './note-loss.ts';
import type { Context, Part } from './context.ts';

/** Looks at a broker's topics now and then, because other users of the brokers can change them. */
export function startLogWatch({ config, logger, lifecycle, registry, resources, crash }: Context): Part<LogWatch> {
  const { log, placement, admin, me } = resources;
  const gauge = new Gauge({
    name: 'openmusic_log_alarms',
    help: 'What is wrong with the topics of the log, counted.',
    registers: [registry],
  });
  const watch = watchLog({
    log,
    placement,
    database: admin,
    everyMs: config.LOG_CHECK_SECONDS * 1_000,
    onAlarms(alarms) {
      gauge.set(alarms.length);
      if (alarms.length > 0) logger.error({ alarms }, 'the log is not as it must be');
      else logger.info('the log is as it must be again');
    },
    ...(me && { visitor: { me, readOnly: config.READ_ONLY === 'on' } }),
    onRefusal(reason) {
      logger.fatal({ reason }, 'the log has another owner');
      crash(new Error(reason));
    },
    noteLoss: noteLossOf(config, resources),
    onFailure: (reason) => logger.warn(`the topics could not be looked at: ${reason}`),
  });
  lifecycle.add('log watch', watch);
  return { service: watch, probes: { 'log-settings': alarmsProbe(watch.alarms) } };
}
