import type { LogOwner, OwnerChanged } from '../../events/genesis.ts';
import type { Placement } from '../../events/placement.ts';
import { partitionKey, type Position, showPosition, type TopicPartition } from '../../events/record.ts';
import { lastOffsetOf, type LogEntry, withMissing } from '../../log/entry.ts';
import { AppendError, type EventLog } from '../../log/event-log.ts';
import { ownerIn, ownerRecord, type OwnerSaid } from '../../log/genesis.ts';
import { isSameOwner, showOwner } from '../../log/owner.ts';
import type { VoidTest } from '../../log/voids.ts';
import { type LogRules, type Head, classify, wins } from '../../event-store/arbitrate.ts';

/** The owner of one partition at some offset, and the head of its genesis stream there. */
export interface PartitionOwner extends TopicPartition {
  /** The next offset to judge. */
  readonly next: number;
  readonly head: Head;
  readonly owner: LogOwner | null;
  readonly incarnation: string;
}

export interface OwnersOptions {
  readonly log: Pick<EventLog, 'read' | 'ends' | 'append'>;
  readonly placement: Placement;
  readonly isVoid: VoidTest;
}

const READ_BYTES = 4 * 2 ** 20;

/** The owner of every partition at the current end of the log. `known` spares reading what was judged before. */
export async function ownersOf(
  options: OwnersOptions,
  known: ReadonlyMap<string, PartitionOwner> = new Map(),
): Promise<PartitionOwner[]> {
  const owners: PartitionOwner[] = [];
  for (const where of options.placement.all)
    owners.push(await ownerOf(options, known.get(partitionKey(where)) ?? unread(where)));
  return owners;
}

export const unread = ({ topic, partition }: TopicPartition): PartitionOwner => ({
  topic,
  partition,
  next: 0,
  head: { version: 0, id: '' },
  owner: null,
  incarnation: '',
});

/** Reads on to the end of the partition. Throws at a record that no reader gets past. */
export async function ownerOf(options: OwnersOptions, from: PartitionOwner): Promise<PartitionOwner> {
  const [end] = await options.log.ends([from]);
  let reached = from;
  while (end && reached.next < end.offset) {
    const entries = await options.log.read({ ...reached, offset: reached.next }, { maxBytes: READ_BYTES });
    if (entries.length === 0) throw new Error(`The log returns no records at ${showPosition(positionOf(reached))}`);
    for (const entry of withMissing(reached.next, entries)) reached = past(options, reached, entry);
  }
  return reached;
}

const positionOf = ({ topic, partition, next }: PartitionOwner): Position => ({ topic, partition, offset: next });

function past({ placement, isVoid }: OwnersOptions, before: PartitionOwner, entry: LogEntry): PartitionOwner {
  const rules: LogRules = { belongs: placement.belongs, isVoid };
  const classification = classify(entry, rules);
  const reached = { ...before, next: lastOffsetOf(entry) + 1 };
  if (classification.kind === 'corrupt') {
    throw new Error(
      `${showPosition(positionOf(before))}: ${classification.reason}. No reader gets past it. Repair it first, see "A partition is stopped" in the runbook.`,
    );
  }
  if (classification.kind === 'loser' || classification.envelope.stream !== placement.genesisOf(before)) return reached;
  const { envelope, record } = classification;
  return wins(envelope, before.head) ? after(reached, envelope, ownerIn(envelope, record, placement)) : reached;
}

/** The owner after the record became the head of the genesis stream. */
export function after(before: PartitionOwner, { version, id }: Head, change: OwnerSaid | undefined): PartitionOwner {
  return { ...before, head: { version, id }, ...(change && { owner: change.owner, incarnation: change.incarnation }) };
}

export interface ChangeOptions extends OwnersOptions {
  readonly me: LogOwner;
  /** Owners that may lose the log. A partition of another owner is left alone. */
  readonly from: readonly (LogOwner | null)[];
  readonly reason: 'adopted' | 'claimed';
  readonly now: () => Date;
}

const TRIES = 10;

/**
 * Makes this database the owner of every partition, one after the other, by the next record of each genesis stream. A run that
 * ends early leaves partitions of two owners, and the next run completes it.
 */
export async function changeOwner(
  options: ChangeOptions,
  owners: readonly PartitionOwner[],
): Promise<PartitionOwner[]> {
  const changed: PartitionOwner[] = [];
  for (const each of owners) changed.push(await changeOwnerOf(options, each));
  return changed;
}

/** A change counts when it is read back as a winner. An append without an answer is repeated; only one of them wins. */
async function changeOwnerOf(options: ChangeOptions, before: PartitionOwner): Promise<PartitionOwner> {
  let known = before;
  for (let left = TRIES; left > 0; left--) {
    known = await ownerOf(options, known);
    if (isSameOwner(known.owner, options.me)) return known;
    if (!options.from.some((owner) => isSameOwner(owner, known.owner))) {
      throw new Error(`${partitionKey(known)} now belongs to the database ${showOwner(known.owner)}.`);
    }
    await appendChange(options, known);
  }
  throw new Error(`The owner of ${partitionKey(known)} could not be changed in ${TRIES} tries. Run the command again.`);
}

async function appendChange({ log, placement, me, reason, now }: ChangeOptions, known: PartitionOwner): Promise<void> {
  const { topic, partition, incarnation, owner, head } = known;
  const change: OwnerChanged = {
    type: 'OwnerChanged',
    incarnation,
    topic,
    partition,
    owner: me,
    previousOwner: owner,
    reason,
    at: now().toISOString(),
  };
  try {
    await log.append([{ topic, partition, record: ownerRecord(placement, change, head) }]);
  } catch (error) {
    if (!(error instanceof AppendError && error.outcome === 'unknown')) throw error;
  }
}
