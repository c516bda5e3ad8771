import type { SchemaVersion, StoredSchema } from '../../src/events/codec.ts';
import { whyUnreadable } from '../../src/events/compatibility.ts';
import { fileOf, freeze, isCommitted, lock, lockOf, nameOf, read, write, writeGolden } from './files.ts';

const USAGE = `npm run schemas -- add Name      a new event, or the next version of one that is there
npm run schemas -- update Name   golden bytes and checksum again, after you have edited the new schema
`;

/** Runs the command on the files below `root`. Returns what to print; throws with the reason what cannot be done. */
export async function runSchemas(root: string, [command, name, ...rest]: readonly string[]): Promise<string> {
  if (name === undefined || rest.length > 0 || !/^[A-Z][A-Za-z]+$/.test(name)) throw new Error(USAGE);
  if (command === 'add') return add(root, name);
  if (command === 'update') return update(root, name);
  throw new Error(USAGE);
}

async function add(root: string, name: string): Promise<string> {
  const lines = lockOf(root);
  const newest = newestOf(lines, name);
  const line: SchemaVersion = {
    id: Math.max(0, ...lines.map(({ id }) => id)) + 1,
    subject: `openmusic.${name}`,
    version: (newest?.version ?? 0) + 1,
  };
  write(root, fileOf(line), newest ? read(root, fileOf(newest)) : skeleton(name));
  await lock(root, line);
  await writeGolden(root, line);
  freeze(root, line);
  return newest ? nextForVersion(line) : nextForEvent(line);
}

async function update(root: string, name: string): Promise<string> {
  const line = newestOf(lockOf(root), name);
  if (!line) throw new Error(`There is no schema ${name}. Add it with: npm run schemas -- add ${name}`);
  const file = fileOf(line);
  if (isCommitted(root, file)) {
    throw new Error(`${file} is committed and never changes. Add a version with: npm run schemas -- add ${name}`);
  }
  mustReadEarlier(root, line);
  await writeGolden(root, line);
  freeze(root, line);
  return `Wrote golden bytes and checksum of ${file}.\n`;
}

/** Throws when the version cannot read the values of an earlier one: a reader that knows only the newest must read them all. */
function mustReadEarlier(root: string, line: SchemaVersion): void {
  const definitionOf = (each: SchemaVersion) => JSON.parse(read(root, fileOf(each))) as StoredSchema['definition'];
  const earlier = lockOf(root).filter(({ subject, version }) => subject === line.subject && version < line.version);
  const conflicts = earlier.flatMap((each) => {
    const reason = whyUnreadable(definitionOf(line), definitionOf(each));
    return reason === undefined ? [] : [`- version ${each.version}: ${reason}`];
  });
  if (conflicts.length === 0) return;
  const advice = 'Give each new field a default, and keep the types of the others.';
  throw new Error([`${fileOf(line)} cannot read the values of earlier versions. ${advice}`, ...conflicts].join('\n'));
}

const newestOf = (lines: readonly SchemaVersion[], name: string) =>
  lines.filter((line) => nameOf(line) === name).sort((one, other) => other.version - one.version)[0];

/** A record that names the thing it is about, so that no value is empty and no reader needs a header. */
function skeleton(name: string): string {
  const thing = thingOf(name);
  return `{
  "type": "record", "name": "${name}", "namespace": "openmusic",
  "doc": "TODO: what has happened, in one sentence.",
  "fields": [
    { "name": "${thing}Id", "type": "string", "doc": "id of the ${thing}, which is also the id of its stream" }
  ]
}
`;
}

function thingOf(name: string): string {
  if (/Playlist|^Collaborator/.test(name)) return 'playlist';
  if (name.startsWith('DeadLetter')) return 'job';
  return (/^[A-Z][a-z]+/.exec(name)?.[0] ?? name).toLowerCase();
}

const nextForEvent = (
  line: SchemaVersion,
): string => `Wrote ${fileOf(line)} (id ${line.id}), its lock entry, golden bytes and checksum. Next:
1. ${fileOf(line)}: write the fields and a doc for each, then: npm run schemas -- update ${nameOf(line)}
2. src/events/: the event in the union of its category, and its line in CATEGORIES of events.ts
3. npm run typecheck: it names each place that needs an arm for the event (decider, cache keys, projections)
4. src/commands/: the command that leads to the event
5. test/docs/event-tables.ts: its section; then: npm run log-format && npm run conformance
6. tests beside the code that you changed
`;

const nextForVersion = (
  line: SchemaVersion,
): string => `Wrote ${fileOf(line)} (id ${line.id}), its lock entry, golden bytes and checksum. Next:
1. ${fileOf(line)}: change the fields, then: npm run schemas -- update ${nameOf(line)}
2. src/events/upcasters.ts: the step from version ${line.version - 1}
3. src/events/: the type of the event, as the new version has it; then: npm run typecheck
4. npm run log-format && npm run conformance
5. a test of the upcaster
`;
