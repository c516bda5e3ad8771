import { partitionKey, type LogRecord, type TopicPartition } from '../events/record.ts';
import { voidRecord } from '../events/voids.ts';
import type { Faults } from '../faults.ts';
import { topicsOf } from '../log/topics.ts';
import { type KnownVoids, publishVoids, readVoids } from '../log/void-topic.ts';
import { acceptedFrom } from './furthest.ts';
import { type PartitionSurvey, type Survey, type SurveyOptions, voidsPlaceOf } from './survey.ts';
import { writeFrom } from './write.ts';

/**
 * Appends the records that a log has lost at its end. Every accepted record gets its own offset again. The offsets of losers, which
 * are stored nowhere, are filled with records that say so. A missing topic is created, and all voids are published again. Records that
 * exist already are not appended again, so the recovery can be interrupted at any point and run again.
 */
export async function appendTail(
  options: SurveyOptions & { readonly faults?: Faults },
  { partitions, identity }: Pick<Survey, 'partitions' | 'identity'>,
): Promise<void> {
  const { log, placement } = options;
  if (!identity) throw new Error('The database belongs to no log.');
  await log.createTopics(topicsOf(placement));
  const place = voidsPlaceOf(options);
  const { voids, unpublished } = await readVoids(place);
  await publishVoids(place, unpublished);
  const ends = endsOfVoids(voids);
  for (const survey of partitions) {
    const { topic, partition, end } = survey;
    // A record appended at a void offset would lose.
    const until = Math.max(survey.next, ends.get(partitionKey(survey)) ?? 0);
    const tail = { survey, until, incarnation: identity.incarnation };
    if (end < until) await writeFrom(options, { topic, partition, offset: end }, tailOf(options, tail));
  }
}

function endsOfVoids(voids: KnownVoids['voids']): Map<string, number> {
  const ends = new Map<string, number>();
  for (const each of voids) ends.set(partitionKey(each), Math.max(ends.get(partitionKey(each)) ?? 0, each.last + 1));
  return ends;
}

interface Tail {
  readonly survey: PartitionSurvey;
  /** Offset after the last one to fill. */
  readonly until: number;
  readonly incarnation: string;
}

/** The records from the end of the log up to the checkpoint, one for each offset. */
async function* tailOf({ admin }: SurveyOptions, { survey, until, incarnation }: Tail): AsyncGenerator<LogRecord> {
  let next = survey.end;
  for await (const rows of acceptedFrom(admin, survey, survey.end)) {
    for (const { offset, stream: key, headers, value } of rows) {
      yield* fillers(incarnation, survey, next, offset);
      yield { key, headers, value };
      next = offset + 1;
    }
  }
  yield* fillers(incarnation, survey, next, until);
}

const REASON = 'nothing that counts stood here when the log was recovered';

function* fillers(
  incarnation: string,
  { topic, partition }: TopicPartition,
  from: number,
  to: number,
): Generator<LogRecord> {
  const [at, reason] = [new Date().toISOString(), REASON];
  for (let offset = from; offset < to; offset++) {
    const place = { topic, partition, offset, lastOffset: offset };
    yield voidRecord({ type: 'PositionVoided', incarnation, ...place, reason, at });
  }
}
