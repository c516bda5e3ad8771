import { newId, idFromCommand } from '../../src/events/ids.ts';
import { createPlacement } from '../../src/events/placement.ts';
import type { TopicPartition } from '../../src/events/record.ts';
import type { Client } from './client.ts';
import type { Distributed } from './distributed.ts';

/** The partition of the catalog by its number. */
export const catalog = ({ namespace }: Distributed, partition: number): TopicPartition => ({
  topic: `${namespace}.catalog`,
  partition,
});

const placementOf = ({ namespace, env }: Distributed) => createPlacement(namespace, Number(env.PARTITIONS));

/** A new stream id in the given partition. */
export function streamIn(system: Distributed, partition: number): string {
  for (;;) {
    const stream = idFromCommand('album', newId());
    if (placementOf(system).place(stream).partition === partition) return stream;
  }
}

/** Creates albums through the API until one is in the given partition. */
export async function albumIn(system: Distributed, { post }: Client, partition: number): Promise<string> {
  for (;;) {
    const { status, text, body } = await post('/albums', { name: 'Parachutes', year: 2000 });
    const id = body?.data?.albumId;
    if (id === undefined) throw new Error(`no album: ${status} ${text}`);
    if (placementOf(system).place(id).partition === partition) return id;
  }
}
