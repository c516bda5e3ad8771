import type { LogOwner } from '../events/genesis.ts';
import type { Placement } from '../events/placement.ts';
import { partitionKey } from '../events/record.ts';
import type { EventLog } from '../log/event-log.ts';
import { isSameOwner } from '../log/owner.ts';
import { writeLoss } from '../log/ownership.ts';
import { readVoidTest, type VoidTest } from '../log/voids.ts';
import type { Database } from '../postgres/pool.ts';
import { knownOwners } from './known-owners.ts';
import { ownerOf, type PartitionOwner } from './owners.ts';

export interface LostLogOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly admin: Database;
  readonly me: LogOwner;
  /** Of the read models. */
  readonly version: number;
}

/**
 * A process that consumes nothing never meets the record by which the log gets another owner, and no other process may run
 * that does. So it looks for that record behind what the newest build has applied, and notes the loss in the database. Each
 * call goes on where the one before ended, so it reads once what waits to be applied.
 */
export function createLostLog({ log, placement, admin, me, version }: LostLogOptions): () => Promise<void> {
  const seen = new Map<string, PartitionOwner>();

  async function ownerNow(applied: PartitionOwner, isVoid: VoidTest) {
    const before = seen.get(partitionKey(applied));
    const from = before && before.next > applied.next ? before : applied;
    // A partition that nobody can read on is no sign: the record stands in each of the others, too.
    const now = await ownerOf({ log, placement, isVoid }, from).catch(() => from);
    seen.set(partitionKey(now), now);
    return now;
  }

  return async () => {
    const applied = await knownOwners(admin, placement, version);
    const isVoid = await readVoidTest(admin);
    for (const each of applied.values()) {
      const { owner } = await ownerNow(each, isVoid);
      if (owner && !isSameOwner(owner, me)) return writeLoss(admin, owner);
    }
  };
}
