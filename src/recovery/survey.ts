import type { Placement } from '../events/placement.ts';
import { partitionKey, type Position, type TopicPartition } from '../events/record.ts';
import { identityOf } from '../log/entry.ts';
import type { EventLog } from '../log/event-log.ts';
import { type LogIdentity, readIdentity } from '../log/identity.ts';
import { type Inspection, inspectLog } from '../log/topics.ts';
import { readVoids, type VoidsPlace } from '../log/void-topic.ts';
import type { DeclaredVoid } from '../log/voids.ts';
import type { Database } from '../postgres/pool.ts';
import { verifyPartition } from '../projections/generations/verify.ts';
import { consumersOf, type StoredPosition } from './consumers.ts';
import { forgetRecovery } from './note.ts';
import { type Applied, furthestApplied, acceptedIds, typesFrom } from './furthest.ts';

export interface SurveyOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  /** The namespace's own tables. */
  readonly admin: Database;
}

/** A partition of the log, compared with what Postgres has of it. */
export interface PartitionSurvey extends Applied {
  /** The end of the log's partition; 0 where the topic is missing. */
  readonly end: number;
  /** Accepted records in Postgres past the end of the log, which is too short, and their number by type. */
  readonly lost: number;
  readonly lostTypes: ReadonlyMap<string, number>;
  /** The first offset at which log and Postgres differ; undefined where they agree. */
  readonly differsAt: number | undefined;
  /** The first offset at which a reader must stop. */
  readonly stopsAt: number | undefined;
}

/**
 * - `unknown`: the database belongs to no log;
 * - `unusable`: the topics cannot hold this log, for the given reasons;
 * - `foreign`: the log has another incarnation than the database;
 * - `differs`: at an offset of an accepted record, the log has another record, or none that can be read;
 * - `short`: the log ends before a checkpoint, or a checkpoint does not match the record before it;
 * - `ahead`: Postgres has applied less than the log holds;
 * - `equal`.
 */
export type Case = 'unknown' | 'unusable' | 'foreign' | 'differs' | 'short' | 'ahead' | 'equal';

export interface Survey {
  readonly kind: Case;
  readonly reasons: readonly string[];
  readonly identity: LogIdentity | undefined;
  /** Incarnations by partition, for partitions with a genesis record. */
  readonly incarnations: ReadonlyMap<string, string>;
  readonly partitions: readonly PartitionSurvey[];
  /** Whether partitions have no genesis record. */
  readonly hasHoles: boolean;
}

/** The source of the voids. A recovery judges the log by the same voids as every reader. */
export const voidsPlaceOf = ({ log, placement, admin }: SurveyOptions): VoidsPlace => ({
  log,
  namespace: placement.namespace,
  database: admin,
});

/** Compares log and Postgres. Reads the whole log and changes nothing. */
export async function surveyLog(options: SurveyOptions): Promise<Survey> {
  const { log, placement, admin } = options;
  const identity = await readIdentity(admin);
  const inspection = await inspectLog(log, placement);
  const { faults: reasons, incarnations } = inspection;
  const hasHoles = inspection.empty.length > 0 || inspection.missing.some((topic) => placement.topics.includes(topic));
  const found = { reasons, identity, incarnations, hasHoles, partitions: [] };
  if (!identity?.initialised) return { ...found, kind: 'unknown' };
  if (isForeign(inspection, identity)) return { ...found, kind: 'foreign' };
  const unusable = [...reasons.filter(isOfTheWhole), ...(await otherPartitions(options))];
  if (unusable.length > 0) return { ...found, kind: 'unusable', reasons: unusable };
  const partitions = await comparePartitions(options, inspection);
  const stale = await staleConsumers(options, inspection);
  return { ...found, partitions, kind: kindOf(partitions, stale) };
}

/** Reasons that concern the settings of topics and of this program. They must be fixed before single records can be judged. */
const isOfTheWhole = (reason: string): boolean => /^(?:topic|the genesis record of) /.test(reason);

/** With another number of partitions every stream would be in the wrong partition. */
async function otherPartitions({ admin, placement }: SurveyOptions): Promise<string[]> {
  const readModels = (await consumersOf(admin, placement)).filter(({ isQueue }) => !isQueue);
  return readModels
    .filter(({ checkpoints }) => checkpoints.length !== placement.all.length)
    .map(({ schema, checkpoints }) => {
      const partitions = checkpoints.length / placement.topics.length;
      return `${schema} was built from topics of ${partitions} partitions, ${placement.partitions} are configured`;
    });
}

const isForeign = ({ incarnations }: Inspection, identity: LogIdentity): boolean =>
  [...incarnations.values()].some((incarnation) => incarnation !== identity.incarnation);

function kindOf(partitions: readonly PartitionSurvey[], stale: readonly TopicPartition[]): Case {
  if (partitions.some(({ differsAt }) => differsAt !== undefined)) return 'differs';
  if (partitions.some(({ end, next }) => end < next) || stale.length > 0) return 'short';
  return partitions.some(({ end, next }) => end > next) ? 'ahead' : 'equal';
}

async function comparePartitions(options: SurveyOptions, { missing }: Inspection): Promise<PartitionSurvey[]> {
  const furthest = await furthestApplied(options.admin, options.placement);
  const ends = await endsOf(options, missing); // read after the checkpoints: beside running servers the log must not seem to be behind
  const { voids } = await readVoids(voidsPlaceOf(options));
  const partitions: PartitionSurvey[] = [];
  for (const applied of furthest) {
    const { topic, partition } = applied;
    const end = { topic, partition, offset: ends.get(partitionKey(applied)) ?? 0 };
    partitions.push(await compare(options, applied, end, voids));
  }
  return partitions;
}

/** The ends by partition, for the topics that exist. */
async function endsOf({ log, placement }: SurveyOptions, missing: readonly string[]): Promise<Map<string, number>> {
  const there = placement.all.filter(({ topic }) => !missing.includes(topic));
  return new Map((await log.ends(there)).map((end) => [partitionKey(end), end.offset]));
}

/** Judges the partition again, and compares every winner with the record that Postgres has accepted at its offset. */
async function compare(
  { log, placement, admin }: SurveyOptions,
  applied: Applied,
  end: Position,
  voids: readonly DeclaredVoid[],
): Promise<PartitionSurvey> {
  const unmatched = await acceptedIds(admin, applied);
  const [different, stops]: [number[], number[]] = [[], []];
  if (end.offset > 0) {
    await verifyPartition(
      {
        log,
        placement,
        voids,
        corrupt: ({ offset }) => stops.push(offset),
        accepted({ offset }, { id }) {
          if (unmatched.get(offset) === id) unmatched.delete(offset);
          else if (offset < applied.next) different.push(offset);
        },
      },
      end,
    );
  }
  const left = [...unmatched.keys()];
  different.push(...left.filter((offset) => offset < end.offset), ...stops.filter((offset) => offset < applied.next));
  return {
    ...applied,
    end: end.offset,
    lost: left.filter((offset) => offset >= end.offset).length,
    lostTypes: end.offset < applied.next ? await typesFrom(admin, applied, end.offset) : new Map(),
    differsAt: least(different),
    stopsAt: least(stops),
  };
}

const least = (offsets: readonly number[]): number | undefined =>
  offsets.length === 0 ? undefined : offsets.reduce((one, other) => Math.min(one, other));

/** Checkpoints beyond the end of the log, or after another record than the log has there. */
async function staleConsumers(options: SurveyOptions, { missing }: Inspection): Promise<StoredPosition[]> {
  const checkpoints = (await consumersOf(options.admin, options.placement)).flatMap((each) => each.checkpoints);
  const ends = await endsOf(options, missing);
  const stale: StoredPosition[] = [];
  for (const checkpoint of checkpoints.filter(({ next }) => next > 0)) {
    const end = ends.get(partitionKey(checkpoint)) ?? 0;
    if (checkpoint.next > end || !(await isBehindItsRecord(options.log, checkpoint))) stale.push(checkpoint);
  }
  return stale;
}

async function isBehindItsRecord(log: EventLog, { topic, partition, next, fingerprint }: StoredPosition) {
  if (fingerprint === '') return true;
  const [last] = await log.read({ topic, partition, offset: next - 1 }, { maxBytes: 1 });
  return last?.offset === next - 1 && identityOf(last) === fingerprint;
}

/**
 * Surveys again after the operator's choice was noted, which must still fit the findings. Otherwise the note is deleted, and the
 * operator is asked again.
 */
export async function surveyOurs(options: SurveyOptions, also: readonly Case[] = []): Promise<Survey> {
  const survey = await surveyLog(options);
  if (['short', 'ahead', 'equal', ...also].includes(survey.kind)) return survey;
  await forgetRecovery(options.admin);
  throw new Error('The log has changed meanwhile. Stop all processes that use it and run the command again.');
}

/** The number of records that the log lacks, in all partitions. */
export const lostOf = ({ partitions }: Survey): number => partitions.reduce((sum, { lost }) => sum + lost, 0);
