import { showPosition } from '../events/record.ts';
import { type Database, openDatabase } from '../postgres/pool.ts';
import { openCacheRow, turnOffForChanges } from '../projections/engine/cache-row.ts';
import { listGenerations } from '../projections/generations/generations.ts';
import { projections, READ_VERSION } from '../projections/projections.ts';
import { listQuarantine, type Quarantined, release } from '../projections/engine/quarantine.ts';
import { type ListOptions, printList, shown } from './print.ts';
import { type CommandContext, withResources } from './with-resources.ts';

interface ListedQuarantine extends Quarantined {
  /** Schema of the generation that has not applied it. */
  readonly schema: string;
}

export function quarantineList(options: ListOptions): Promise<number> {
  return withResources({ as: 'command' }, async (context) => {
    const found: ListedQuarantine[] = [];
    await inEveryGeneration(context, async (database, schema) => {
      found.push(...(await listQuarantine(database)).map((entry) => ({ ...entry, schema })));
    });
    printList(found, options, { line: lineOf, none: 'No stream is quarantined.' });
    return 0;
  });
}

const lineOf = ({ stream, version, reason, since, schema, ...position }: ListedQuarantine): string =>
  `${stream} from version ${version} (${showPosition(position)}, ${schema}) since ${since.toISOString()}: ${shown(reason)}`;

/** Exit code 2 when the stream is still closed. */
export function quarantineRelease(stream: string): Promise<number> {
  return withResources({ as: 'command' }, async (context) => {
    let code = 0;
    await inEveryGeneration(context, async (database, schema) => {
      const closed = (await listQuarantine(database)).some((entry) => entry.stream === stream);
      if (!closed) {
        context.print(`${schema}: ${stream} is not quarantined.`);
        return;
      }
      const still = await release(database, projections, stream, await turnOffForChanges(openCacheRow(database)));
      if (still) code = 2;
      context.print(
        still
          ? `${schema}: still closed at version ${still.version}: ${shown(still.reason)}`
          : `${schema}: ${stream} is open.`,
      );
    });
    return code;
  });
}

/** Every serving generation of this code's version has a quarantine of its own. */
async function inEveryGeneration(
  { admin, connection, placement }: CommandContext,
  work: (database: Database, schema: string) => Promise<void>,
): Promise<void> {
  const serving = (await admin.use(listGenerations)).filter(
    ({ state, version }) => state === 'serving' && version === READ_VERSION,
  );
  for (const { schema } of serving) {
    const searchPath = [schema, placement.namespace, 'public'];
    const database = openDatabase(connection, { name: 'openmusic quarantine', max: 1, searchPath });
    try {
      await work(database, schema);
    } finally {
      await database.stop();
    }
  }
}
