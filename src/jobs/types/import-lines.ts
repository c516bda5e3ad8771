import { pipeline, type Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type CsvError, type CsvErrorCode, type Info, type Options, parse } from 'csv-parse';
import { parse as parseAtOnce } from 'csv-parse/sync';

/** One line of what is imported: something, or what is wrong with it. */
export type Line =
  | { /** From 1, where it ends. */ readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly fault: string };

export type ImportFormat = 'csv' | 'ndjson';

/** Lines as they are read; those that are blank are left out. */
export const linesOf = (format: ImportFormat, bytes: Readable): AsyncGenerator<Line, void> =>
  format === 'csv' ? csvLines(bytes) : jsonLines(bytes);

/** The columns of CSV, in any order. */
export const COLUMNS = ['kind', 'name', 'title', 'year', 'genre', 'performer', 'duration', 'album'];

const CSV = {
  bom: true,
  record_delimiter: ['\r\n', '\n', '\r'],
  /** A quote within a cell is one; a cell that begins with one ends with the next. */
  relax_quotes: true,
  skip_empty_lines: true,
  skip_records_with_empty_values: true,
  skip_records_with_error: true,
} satisfies Options;

const trimmed = (cells: readonly string[]) => cells.map((cell) => cell.trim());

/** All names of columns and more blanks than there is a reason for. */
const HEADER_LENGTH = 1_000;

/** What is wrong with the first line of CSV, as the rest of a sentence. */
export function headerFault(text: string): string | undefined {
  const [header = []]: string[][] = parseAtOnce(text.slice(0, HEADER_LENGTH), { ...CSV, to: 1 });
  const columns = trimmed(header);
  const unknown = columns.find((column) => !COLUMNS.includes(column));
  if (columns.includes('kind') && unknown === undefined && new Set(columns).size === columns.length) return undefined;
  return `must begin with a line of different names of columns, among them kind; possible are ${COLUMNS.join(', ')}`;
}

type CsvRecord = Readonly<Record<string, string>>;

async function* csvLines(bytes: Readable): AsyncGenerator<Line, void> {
  const faults: Line[] = [];
  const on_skip = (error?: CsvError) => void faults.push(faultOf(error));
  const parser = parse({ ...CSV, columns: trimmed, info: true, on_skip });
  pipeline(inTurns(bytes), parser, () => undefined); // its reader is told
  for await (const { info, record } of parser as AsyncIterable<{ info: Info; record: CsvRecord }>) {
    // The parser is ahead of whoever reads.
    const later = faults.findIndex(({ number }) => number >= info.lines);
    yield* faults.splice(0, later < 0 ? faults.length : later);
    yield { number: info.lines, value: valueOf(record) };
  }
  yield* faults;
}

const PIECE_BYTES = 2_048;

/** Small pieces, each in a turn of its own of the event loop: a bad line costs the parser 50 µs, and it parses what it gets at once. */
async function* inTurns(bytes: Readable): AsyncGenerator<Buffer, void> {
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      yield chunk.subarray(at, at + PIECE_BYTES);
      await nextTurn();
    }
  }
}

const FAULTS: Partial<Record<CsvErrorCode, string>> = {
  CSV_RECORD_INCONSISTENT_COLUMNS: 'It must have as many cells as the first line.',
  CSV_QUOTE_NOT_CLOSED: 'A quote that begins in a line above is not closed.',
};

const faultOf = (error?: CsvError): Line => ({
  number: Number(error?.lines),
  fault: (error && FAULTS[error.code]) ?? 'It is not CSV.',
});

const NUMBERS = ['year', 'duration'];

/** As it would be in JSON: an empty cell is nothing. */
function valueOf(record: CsvRecord): Record<string, unknown> {
  const filled = Object.entries(record).filter(([, cell]) => cell !== '');
  return Object.fromEntries(filled.map(([column, cell]) => [column, NUMBERS.includes(column) ? numberOf(cell) : cell]));
}

const numberOf = (cell: string) => (/^\s*-?\d+\s*$/.test(cell) ? Number(cell) : cell);

async function* jsonLines(bytes: Readable): AsyncGenerator<Line, void> {
  let number = 0;
  for await (const line of textLines(bytes)) {
    number++;
    if (line.trim() !== '') yield jsonLine(number, line);
  }
}

/** Of a line of JSON, and more than an album or a song can have. */
const LINE_LENGTH = 65_536;

function jsonLine(number: number, line: string): Line {
  if (line.length > LINE_LENGTH) return { number, fault: `It has more than ${LINE_LENGTH} characters.` };
  try {
    return { number, value: JSON.parse(line) as unknown };
  } catch {
    return { number, fault: 'It is not JSON.' };
  }
}

async function* textLines(bytes: Readable): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    // What is left of a long line is not searched again with each chunk.
    const [first = '', ...others] = decoder.decode(chunk, { stream: true }).split('\n');
    const lines = [rest + first, ...others];
    rest = lines.pop() ?? '';
    yield* lines;
  }
  yield rest;
}
