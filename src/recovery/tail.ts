import { partitionKey, type LogRecord, type TopicPartition } from '../events/record.ts';
import { voidRecord } from '../events/voids.ts';
import type { Faults } from '../faults.ts';
import { topicsOf } from '../log/topics.ts';
import { type KnownVoids, publishVoids, readVoids } from '../log/void-topic.ts';
import { knownFrom } from './furthest.ts';
import { type PartitionSurvey, type Survey, type SurveyOptions, voidsPlaceOf } from './survey.ts';
import { writeFrom } from './write.ts';

/**
 * Appends what a log that has become too short has lost. Every record that counts comes to lie at its own offset again; the
 * places of losers, of which nothing is known any more, are filled with records that say so. A topic that is missing is
 * made, and told of every void. What is there already is not appended again, so it can be broken off anywhere and begun anew.
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
    // What would come to lie under a void would lose.
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

/** What stood from the end of the log up to the checkpoint, offset by offset. */
async function* tailOf({ admin }: SurveyOptions, { survey, until, incarnation }: Tail): AsyncGenerator<LogRecord> {
  let next = survey.end;
  for await (const rows of knownFrom(admin, survey, survey.end)) {
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
