import { eventsWithCheckpoints } from '../../event-store/stream-events.ts';
import type { Placement } from '../../events/placement.ts';
import { partitionKey, type Position } from '../../events/record.ts';
import { ownerIn } from '../../log/genesis.ts';
import type { Client, Database } from '../../postgres/pool.ts';
import { servingGenerations } from '../generations/generations.ts';
import { after, type PartitionOwner, unread } from './owners.ts';

/** The owners by partition as the newest generation has them, so that only what it has not applied must be read. */
export function knownOwners(
  admin: Database,
  placement: Placement,
  version: number,
): Promise<Map<string, PartitionOwner>> {
  return admin.use(async (client) => {
    const [newest] = await servingGenerations(client, version);
    return newest ? ownersIn(client, newest.schema, placement) : new Map<string, PartitionOwner>();
  });
}

async function ownersIn(client: Client, schema: string, placement: Placement): Promise<Map<string, PartitionOwner>> {
  const streams = placement.all.map((where) => placement.genesisOf(where));
  const owners = new Map<string, PartitionOwner>();
  for (const row of await eventsWithCheckpoints(client, schema, streams)) {
    const before = owners.get(partitionKey(row)) ?? unread(row);
    const said = ownerIn(row, row, placement);
    owners.set(partitionKey(row), after({ ...before, next: (row as Position).offset }, row, said));
  }
  return owners;
}
