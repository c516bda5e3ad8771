import { partitionKey } from '../events/record.ts';
import type { Way } from './note.ts';
import { lostOf, type PartitionSurvey, type Survey } from './survey.ts';

/** The findings, in lines for an operator. */
export function describeSurvey(survey: Survey): string[] {
  return [headlineOf(survey), ...survey.reasons.map((reason) => `  ${reason}`), ...survey.partitions.flatMap(lineOf)];
}

function headlineOf({ kind, identity, incarnations }: Survey): string {
  switch (kind) {
    case 'unknown':
      return 'This database belongs to no log yet. There is nothing to recover: run `npm run openmusic -- log init`.';
    case 'unusable':
      return 'The topics or the settings are wrong, so the records cannot be compared. Fix this first:';
    case 'foreign':
      return `The log is of another incarnation (${incarnationsIn(incarnations)}) than this database knows (${identity?.incarnation ?? ''}). Check KAFKA_BROKERS, PGHOST and NAMESPACE first. If single topics were created again, delete those and run the command again: it creates them from Postgres.`;
    case 'differs':
      return 'Log and Postgres have different records at the same offsets: the log lost records and others took their place, or it was damaged.';
    case 'short':
      return "The log is behind Postgres: it lacks records that were applied, or it has another record than the one before a consumer's checkpoint.";
    case 'ahead':
      return 'Postgres is behind the log. Nothing is lost: the consumers catch up by themselves as soon as they run.';
    case 'equal':
      return 'Log and Postgres agree. There is nothing to recover.';
  }
}

const incarnationsIn = (incarnations: ReadonlyMap<string, string>) => [...new Set(incarnations.values())].join(', ');

function lineOf(survey: PartitionSurvey): string[] {
  const { end, next, lost, differsAt } = survey;
  if (end === next && differsAt === undefined) return [];
  const differs = differsAt === undefined ? '' : `, and is another one from offset ${differsAt} on`;
  const line = `  ${partitionKey(survey)} ends at ${end}, Postgres has applied it up to ${next}${differs}`;
  if (end >= next) return [line];
  return [`${line}: it lacks ${countOf(lost, 'event')}${typesOf(survey.lostTypes)}`];
}

const countOf = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function typesOf(types: ReadonlyMap<string, number>): string {
  if (types.size === 0) return '';
  return ` (${[...types].map(([type, count]) => `${count} ${type.replace('openmusic.', '')}`).join(', ')})`;
}

/** A way that the operator can choose, and what it loses. */
export function describeWay(way: Way, survey: Survey): string[] {
  const events = countOf(lostOf(survey), 'event');
  const lines: Record<Way, readonly string[]> = {
    append: [
      `append    appends the missing ${events} from Postgres, each at its own offset. Nothing is lost that was answered.`,
      '          A reader of the log that has come further than Postgres must begin at 0.',
    ],
    anew: [
      'anew      deletes the topics and begins a new incarnation: all events of Postgres, then what only the log has.',
      '          No event is lost. Every offset changes: all readers of the log begin at 0. The read models are built again.',
    ],
    follow: [
      `follow    takes the log as it is. Postgres forgets ${forgotten(survey)}, and builds its read models again.`,
      '          Jobs whose end is forgotten run again. Readers of the log that have come further must begin at 0.',
    ],
    restored: [
      'restored  only if Postgres was restored from a copy: all accounts must log in again, because refresh tokens that were deleted',
      '          since the copy are there again, and the whole cache is invalidated.',
    ],
  };
  return lines[way].map((line) => `  ${line}`);
}

function forgotten(survey: Survey): string {
  if (survey.kind === 'foreign') return 'every event that this log does not have';
  const differing = survey.partitions.filter(({ differsAt }) => differsAt !== undefined).map(partitionKey);
  const events = `the ${countOf(lostOf(survey), 'event')} that the log lacks`;
  return differing.length === 0 ? events : `${events}, and the records that differ in ${differing.join(', ')}`;
}
