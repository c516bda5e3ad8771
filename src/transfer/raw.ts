import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { reasonOf } from '../errors.ts';
import { entriesOf } from '../event-store/judged-log.ts';
import { isBlank, type LogEntry } from '../log/entry.ts';
import type { EventLog } from '../log/event-log.ts';
import type { ReadProgress } from './export.ts';
import type { LogReading } from './log-reading.ts';
import type { SelectedRange } from './selection.ts';

/**
 * A raw export: the first line says which log it is of, the last one how many entries it has and the hash of all lines before. In
 * between every entry of every event topic has a line, losers and blanks too, so that the log can be made again with each record at
 * its offset.
 */
const FORMAT = 'openmusic-log';
const VERSION = 1;

const range = z.object({ topic: z.string(), partition: z.int(), from: z.int(), to: z.int() });
const declaredVoid = z.object({
  topic: z.string(),
  partition: z.int(),
  offset: z.int(),
  last: z.int(),
  reason: z.string(),
  declaredAt: z.coerce.date(),
});
const header = z.object({
  format: z.literal(FORMAT, { error: 'this is no raw export of a log' }),
  version: z.literal(VERSION, { error: `its version is not ${VERSION}, the only one that this code reads` }),
  namespace: z.string(),
  /** Of every event topic. */
  partitions: z.int(),
  incarnation: z.string(),
  ranges: z.array(range),
  voids: z.array(declaredVoid),
});
const place = { topic: z.string(), partition: z.int(), offset: z.int() };
const record = z.object({
  ...place,
  key: z.string(),
  headers: z.record(z.string(), z.string()),
  /** In base64. */
  value: z.string(),
});
const blank = z.object({
  ...place,
  last: z.int(),
  blank: z.enum(['control', 'unreadable', 'missing']),
  reason: z.string(),
});
const trailer = z.object({ entries: z.int(), sha256: z.string() });

export type RawHeader = z.infer<typeof header>;

/** The lines of a raw export. `ranges` are in the order of the log. */
export async function* rawLines(
  reading: LogReading,
  ranges: readonly SelectedRange[],
  progress: ReadProgress = () => undefined,
): AsyncGenerator<string, void> {
  const { log, placement, incarnation, voids } = reading;
  const { namespace, partitions } = placement;
  const hash = createHash('sha256');
  const first = { format: FORMAT, version: VERSION, namespace, partitions, incarnation, ranges, voids: voids.voids };
  let entries = 0;
  const pass = (text: string) => {
    hash.update(text);
    return text;
  };
  yield pass(lineOf(first));
  for await (const batch of allEntries(log, ranges, progress)) {
    entries += batch.length;
    yield pass(batch.map((entry) => lineOf(rawOf(entry))).join(''));
  }
  yield lineOf({ entries, sha256: hash.digest('hex') } satisfies z.infer<typeof trailer>);
}

async function* allEntries(
  log: EventLog,
  ranges: readonly SelectedRange[],
  progress: ReadProgress,
): AsyncGenerator<readonly LogEntry[], void> {
  const total = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  let done = 0;
  for (const { from, to, ...where } of ranges) {
    for await (const entries of entriesOf(log, { ...where, offset: from }, to)) {
      yield entries;
      progress((done += entries.length), total);
    }
  }
}

const lineOf = (value: object): string => `${JSON.stringify(value)}\n`;

function rawOf(entry: LogEntry): z.infer<typeof record> | z.infer<typeof blank> {
  const { topic, partition, offset } = entry;
  if (isBlank(entry)) return { topic, partition, offset, last: entry.last, blank: entry.blank, reason: entry.reason };
  return { topic, partition, offset, key: entry.key, headers: entry.headers, value: entry.value.toString('base64') };
}

/** A log to import. Its entries can be read more than once. */
export interface RawLog {
  readonly header: RawHeader;
  /** One partition after the other. Throws when the file is damaged or has no end. */
  entries(): AsyncIterable<LogEntry>;
}

/** Opens a raw export; a file whose name ends with `.gz` is unpacked. */
export async function openRaw(file: string): Promise<RawLog> {
  for await (const line of linesOf(file)) {
    return { header: parsed(header, line, `${file} line 1`), entries: () => entriesIn(file) };
  }
  throw new Error(`${file} is empty.`);
}

async function* entriesIn(file: string): AsyncGenerator<LogEntry, void> {
  const hash = createHash('sha256');
  let number = 0;
  for await (const line of linesOf(file)) {
    number++;
    if (line.startsWith('{"entries":')) {
      const { entries, sha256 } = parsed(trailer, line, `${file} line ${number}`);
      if (entries === number - 2 && sha256 === hash.digest('hex')) return;
      throw new Error(`${file} was changed since it was exported: its hash is not the one in its last line.`);
    }
    hash.update(`${line}\n`);
    if (number > 1) yield entryOf(parsed(entryLine, line, `${file} line ${number}`));
  }
  throw new Error(`${file} is not complete: its last line is missing. Export it again, or copy it again.`);
}

const entryLine = z.union([record, blank]);

function entryOf(line: z.infer<typeof entryLine>): LogEntry {
  return 'blank' in line
    ? { ...line, leaderEpoch: 0 }
    : { ...line, value: Buffer.from(line.value, 'base64'), leaderEpoch: 0 };
}

function parsed<Line>(schema: z.ZodType<Line>, line: string, where: string): Line {
  try {
    return schema.parse(JSON.parse(line));
  } catch (error) {
    throw new Error(`${where}: ${error instanceof z.ZodError ? z.prettifyError(error) : reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Lines end with LF alone: `readline` would also end them where JSON text may have other separators. */
async function* linesOf(file: string): AsyncGenerator<string, void> {
  const bytes = createReadStream(file);
  // The reader may stop early. Every failure reaches it through the stream that it reads.
  const plain = file.endsWith('.gz') ? pipeline(bytes, createGunzip(), () => undefined) : bytes;
  let rest = '';
  for await (const text of plain.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}
