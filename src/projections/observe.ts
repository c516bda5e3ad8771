import type { Logger } from 'pino';
import { Counter, Gauge, type Registry } from 'prom-client';
import { partitionKey, showPosition } from '../events/record.ts';
import type { Word } from '../events/word.ts';
import type { ProjectorObserver } from './apply.ts';

/** Counts and logs what the projector met, and passes on that something was committed. */
export function observeProjector(
  logger: Logger,
  registry: Registry,
  onCommitted: (word: Word) => void,
): ProjectorObserver {
  const registers = [registry];
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
  const stopped = new Gauge({
    name: 'openmusic_partition_stopped',
    help: '1 for a partition that is not consumed until an operator has looked at it.',
    labelNames: ['partition'],
    registers,
  });
  const halted = new Set<string>();
  return {
    committed({ moves, accepted: records }, word) {
      accepted.inc(records.length);
      for (const move of moves)
        if (halted.delete(partitionKey(move))) stopped.set({ partition: partitionKey(move) }, 0);
      onCommitted(word);
    },
    lost(record, reason, alarm) {
      lost.inc({ reason });
      if (alarm)
        logger.error({ position: showPosition(record), reason }, 'a record that is not ours stands in the log');
    },
    quarantined(record, reason) {
      quarantined.inc();
      logger.error({ position: showPosition(record), stream: record.key, reason }, 'a stream is quarantined');
    },
    stopped(position, reason) {
      stopped.set({ partition: partitionKey(position) }, 1);
      halted.add(partitionKey(position));
      logger.fatal({ position: showPosition(position), reason }, 'a partition is no longer consumed');
    },
  };
}
