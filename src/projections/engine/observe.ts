import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import { showPosition } from '../../events/record.ts';
import type { CommitNotice } from '../../events/commit-notice.ts';
import { createThrottle } from '../../concurrency/throttle.ts';
import type { ProjectorObserver } from './apply.ts';

/** Counts and logs what a projector meets, and passes on its commit notices. The consumer reports stops. */
export function observeProjector(
  logger: Logger,
  registry: Registry,
  onCommitted: (notice: CommitNotice) => void,
): ProjectorObserver {
  const registers = [registry];
  const throttle = createThrottle();
  const accepted = new Counter({ name: 'openmusic_records_accepted_total', help: 'Records that won.', registers });
  const lost = new Counter({
    name: 'openmusic_records_lost_total',
    help: 'Records that lost, by reason.',
    labelNames: ['reason'],
    registers,
  });
  const quarantined = new Counter({
    name: 'openmusic_records_quarantined_total',
    help: 'Accepted records that could not be applied and closed their stream.',
    registers,
  });
  return {
    committed({ accepted: records }, notice) {
      accepted.inc(records.length);
      onCommitted(notice);
    },
    lost(record, reason, alarm) {
      lost.inc({ reason });
      const line = alarm ? throttle('a record that is not ours stands in the log', reason) : undefined;
      if (line !== undefined) logger.error({ position: showPosition(record), reason }, line);
    },
    quarantined(record, reason) {
      quarantined.inc();
      logger.error({ position: showPosition(record), stream: record.key, reason }, 'a stream is quarantined');
    },
    stopped: () => undefined,
  };
}
