import type { LogOwner } from '../../events/genesis.ts';
import type { Placement } from '../../events/placement.ts';
import { partitionKey, type Position } from '../../events/record.ts';
import type { EventLog } from '../../log/event-log.ts';
import { readIdentity } from '../../log/identity.ts';
import { isSameOwner } from '../../log/owner.ts';
import { writeOwnerChange } from '../../log/ownership.ts';
import { readVoids } from '../../log/void-topic.ts';
import type { VoidTest } from '../../log/voids.ts';
import type { Database } from '../../postgres/pool.ts';
import { knownOwners } from './known-owners.ts';
import { ownerOf, type PartitionOwner } from './owners.ts';

export interface LostLogOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly admin: Database;
  readonly me: LogOwner;
  /** Version of the read models. */
  readonly version: number;
}

/**
 * A process that consumes nothing never reads the record by which the log gets another owner, and possibly no other process
 * runs. So each call looks for that record beyond what the newest generation has applied, and writes the loss to the database.
 * A call goes on where the one before ended, so each record is read once.
 */
export function createLostLog({ log, placement, admin, me, version }: LostLogOptions): () => Promise<void> {
  const seen = new Map<string, PartitionOwner>();

  async function ownerAt(end: Position, applied: PartitionOwner | undefined, isVoid: VoidTest) {
    if (!applied) return null; // the first generation reads it all
    const before = seen.get(partitionKey(end));
    const from = before && before.next > applied.next ? before : applied;
    if (from.next >= end.offset) return from.owner;
    // An unreadable partition is ignored: the record is also in each of the others.
    const now = await ownerOf({ log, placement, isVoid }, from).catch(() => from);
    seen.set(partitionKey(end), now);
    return now.owner;
  }

  async function check(): Promise<void> {
    const identity = await readIdentity(admin);
    // A database that was restored under another identity has lost nothing: it may claim the log.
    if (!identity?.owned || !isSameOwner(identity.owner, me)) return;
    const applied = await knownOwners(admin, placement, version);
    const { isVoid } = await readVoids({ log, namespace: placement.namespace, database: admin });
    for (const end of await log.ends(placement.all)) {
      const owner = await ownerAt(end, applied.get(partitionKey(end)), isVoid);
      if (owner && !isSameOwner(owner, me)) return writeOwnerChange(admin, owner);
    }
  }

  // The check of the topics, which always follows, reports brokers that do not answer and topics that are gone.
  return () => check().catch(() => undefined);
}
