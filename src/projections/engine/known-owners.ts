import type { Envelope } from '../../events/envelope.ts';
import type { Placement } from '../../events/placement.ts';
import { partitionKey, type Position, type StoredRecord } from '../../events/record.ts';
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

type Row = Pick<Envelope, 'stream' | 'type' | 'version' | 'id'> & StoredRecord;

/** Events and checkpoints of one snapshot. */
const EVENTS = (
  schema: string,
) => `SELECT c.topic, c.partition, c.next AS "offset", e.stream, e.version, e.record_id AS id, e.type, e.headers, e.value
  FROM "${schema}".checkpoints c JOIN "${schema}".stream_events e USING (topic, partition)
  WHERE e.stream = ANY($1) ORDER BY e.stream, e.version`;

async function ownersIn(client: Client, schema: string, placement: Placement): Promise<Map<string, PartitionOwner>> {
  const streams = placement.all.map((where) => placement.genesisOf(where));
  const { rows } = await client.query<Row>(EVENTS(schema), [streams]);
  const owners = new Map<string, PartitionOwner>();
  for (const row of rows) {
    const before = owners.get(partitionKey(row)) ?? unread(row);
    const said = ownerIn(row, row, placement);
    owners.set(partitionKey(row), after({ ...before, next: (row as Position).offset }, row, said));
  }
  return owners;
}
