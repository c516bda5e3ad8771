import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import avro from 'avsc';
import { format, resolveConfig } from 'prettier';
import type { SchemaVersion } from '../../src/events/codec.ts';
import { TimestampMillis } from '../../src/events/timestamps.ts';
import { type AvroSchema, sampleOf } from './sample.ts';

interface GoldenLine extends SchemaVersion {
  /** sha256 of the schema in Avro's canonical form. */
  readonly schema: string;
  readonly payload: unknown;
  /** Hex. */
  readonly value: string;
}

interface GoldenFile {
  readonly schemas: readonly GoldenLine[];
  readonly record: unknown;
}

const LOCK = 'schemas/lock.json';
const GOLDEN = 'schemas/golden.json';
const FROZEN = 'frozen.sha256';

export const read = (root: string, file: string): string => readFileSync(path.join(root, file), 'utf8');
export const write = (root: string, file: string, text: string): void => writeFileSync(path.join(root, file), text);

export const lockOf = (root: string) => JSON.parse(read(root, LOCK)) as SchemaVersion[];
const goldenOf = (root: string) => JSON.parse(read(root, GOLDEN)) as GoldenFile;

export const nameOf = ({ subject }: SchemaVersion): string => subject.slice('openmusic.'.length);
export const fileOf = (line: SchemaVersion): string => `schemas/${nameOf(line)}.v${line.version}.avsc`;

/** Whether git's last commit has the file: then it is released, and never changes. */
export function isCommitted(root: string, file: string): boolean {
  try {
    execFileSync('git', ['cat-file', '-e', `HEAD:${file}`], { cwd: root, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Adds the line to the lock file. */
export async function lock(root: string, line: SchemaVersion): Promise<void> {
  await writeJson(root, LOCK, JSON.stringify([...lockOf(root), line]));
}

/** Writes the golden bytes of the schema file. Keeps the example payload as long as it fits the schema. */
export async function writeGolden(root: string, line: SchemaVersion): Promise<void> {
  const schema = JSON.parse(read(root, fileOf(line))) as avro.Schema;
  const type = avro.Type.forSchema(schema, { logicalTypes: { 'timestamp-millis': TimestampMillis } });
  const golden = goldenOf(root);
  const before = golden.schemas.find(({ id }) => id === line.id)?.payload;
  const payload = before !== undefined && fits(type, before) ? before : sampleOf(schema as AvroSchema);
  const header = Buffer.alloc(5);
  header.writeUInt32BE(line.id, 1);
  const written: GoldenLine = {
    ...line,
    schema: avro.Type.forSchema(schema).fingerprint('sha256').toString('hex'),
    payload,
    value: Buffer.concat([header, type.toBuffer(payload)]).toString('hex'),
  };
  const schemas = [...golden.schemas.filter(({ id }) => id !== line.id), written];
  await writeJson(
    root,
    GOLDEN,
    JSON.stringify({ ...golden, schemas: schemas.toSorted((a, b) => a.id - b.id) }, null, 2),
  );
}

/** Whether the payload has exactly the fields of the schema. */
const fits = (type: avro.Type, payload: unknown): boolean => type.isValid(payload, { noUndeclaredFields: true });

/** Writes the line of the schema file into frozen.sha256, in the order of `sha256sum schemas/*.avsc migrations/*.sql`. */
export function freeze(root: string, line: SchemaVersion): void {
  const file = fileOf(line);
  const others = read(root, FROZEN)
    .trimEnd()
    .split('\n')
    .filter((each) => each.slice(66) !== file);
  const [schemas, migrations] = [others.filter(isSchema), others.filter((each) => !isSchema(each))];
  const mine = `${hash('sha256', readFileSync(path.join(root, file)))}  ${file}`;
  const ordered = [...schemas, mine].toSorted((one, other) => (one.slice(66) < other.slice(66) ? -1 : 1));
  write(root, FROZEN, `${[...ordered, ...migrations].join('\n')}\n`);
}

const isSchema = (line: string): boolean => line.slice(66).startsWith('schemas/');

async function writeJson(root: string, file: string, text: string): Promise<void> {
  const options = await resolveConfig(path.join(root, file));
  write(root, file, await format(text, { ...options, parser: 'json' }));
}
