import type { LogRecord, TopicPartition } from '../events/record.ts';
import { voidRecord } from '../events/voids.ts';
import type { Faults } from '../faults.ts';
import { topicsOf } from '../log/topics.ts';
import { knownFrom } from './furthest.ts';
import type { PartitionSurvey, Survey, SurveyOptions } from './survey.ts';
import { writeFrom } from './write.ts';

/**
 * Appends what a log that has become too short has lost. Every record that counts comes to lie at its own offset again; the
 * places of losers, of which nothing is known any more, are filled with records that say so. A topic that is missing is
 * made. What is there already is not appended again, so it can be broken off anywhere and begun anew.
 */
export async function appendTail(
  options: SurveyOptions & { readonly faults?: Faults },
  { partitions }: Pick<Survey, 'partitions'>,
): Promise<void> {
  const { log, placement } = options;
  await log.createTopics(topicsOf(placement));
  for (const survey of partitions) {
    const { topic, partition, end, next } = survey;
    if (end < next) await writeFrom(options, { topic, partition, offset: end }, tailOf(options, survey));
  }
}

/** What stood from the end of the log up to the checkpoint, offset by offset. */
async function* tailOf({ admin }: SurveyOptions, survey: PartitionSurvey): AsyncGenerator<LogRecord> {
  let next = survey.end;
  for await (const rows of knownFrom(admin, survey, survey.end)) {
    for (const { offset, stream: key, headers, value } of rows) {
      yield* fillers(survey, next, offset);
      yield { key, headers, value };
      next = offset + 1;
    }
  }
  yield* fillers(survey, next, survey.next);
}

const REASON = 'nothing that counts stood here when the log was recovered';

function* fillers({ topic, partition }: TopicPartition, from: number, to: number): Generator<LogRecord> {
  const at = new Date().toISOString();
  for (let offset = from; offset < to; offset++) {
    yield voidRecord({ type: 'PositionVoided', topic, partition, offset, lastOffset: offset, reason: REASON, at });
  }
}
