import { pipeline, type Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Info, type Options, parse, type Parser } from 'csv-parse';
import { parse as parseAtOnce } from 'csv-parse/sync';

/** One line of an import: its value, or what is wrong with it. */
export type Line =
  | { /** From 1, where it ends. */ readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly fault: string };

export type ImportFormat = 'csv' | 'ndjson';

/** The lines, without blank ones. */
export const linesOf = (format: ImportFormat, bytes: Readable): AsyncGenerator<Line, void> =>
  format === 'csv' ? csvLines(bytes) : jsonLines(bytes);

/** The columns of CSV, in any order. */
export const COLUMNS = ['kind', 'name', 'title', 'year', 'genre', 'performer', 'duration', 'album'];

const CSV = {
  record_delimiter: ['\r\n', '\n', '\r'],
  /** A quote within a cell is one; a cell that begins with one ends with the next. */
  relax_quotes: true,
  relax_column_count: true,
  skip_empty_lines: true,
  skip_records_with_empty_values: true,
  skip_records_with_error: true,
} satisfies Options;

interface Header {
  /** What stands before the line with the names. */
  readonly preface: string;
  readonly delimiter: string;
  /** Empty for a column without a name. */
  readonly columns: readonly string[];
}

/** The delimiters that spreadsheets write, depending on the user's language. */
const DELIMITERS = [',', ';', '\t'];
/** A byte order mark, and the line in which Excel names the delimiter. */
const PREFACE = /^\ufeff?(?:"?sep=([^"\r\n])"?[,;\t ]*(?:\r\n|\r|\n))?/iu;
/** Room for all names of columns and many blanks. */
const HEADER_LENGTH = 1_000;
const HEADER_BYTES = 4 * HEADER_LENGTH;

/** Without a line that names the delimiter, it is the one by which the first line is a list of column names. */
function headerOf(text: string): Header | undefined {
  const beginning = text.slice(0, HEADER_LENGTH);
  const [preface = '', named] = PREFACE.exec(beginning) ?? [];
  for (const delimiter of named === undefined ? DELIMITERS : [named]) {
    const [cells = []]: string[][] = parseAtOnce(beginning.slice(preface.length), { ...CSV, delimiter, to: 1 });
    const columns = cells.map((cell) => cell.trim().toLowerCase());
    if (areColumns(columns)) return { preface, delimiter, columns };
  }
  return undefined;
}

function areColumns(columns: readonly string[]): boolean {
  const named = columns.filter((column) => column !== '');
  const areKnown = named.every((column) => COLUMNS.includes(column));
  return areKnown && named.includes('kind') && new Set(named).size === named.length;
}

const NO_HEADER = `must begin with a line of different names of columns, among them kind; possible are ${COLUMNS.join(', ')}`;

/** What is wrong with the first line of CSV, as the rest of a sentence. */
export const headerFault = (text: string): string | undefined => (headerOf(text) ? undefined : NO_HEADER);

/** How many lines a text has, with those that are blank or parts of cells. */
export function countLines(format: ImportFormat, text: string): number {
  const ends = format === 'csv' ? /\r\n|\r|\n/g : /\n/g;
  let lines = 1;
  while (ends.test(text)) lines++;
  return lines;
}

interface CsvRecord {
  readonly info: Info;
  readonly record: readonly string[];
}

async function* csvLines(bytes: Readable): AsyncGenerator<Line, void> {
  const whole = Buffer.concat((await bytes.toArray()) as Buffer[]);
  const header = headerOf(whole.toString('utf8', 0, HEADER_BYTES));
  if (!header) throw new Error(`CSV ${NO_HEADER}`);
  const { preface, delimiter, columns } = header;
  const start = Buffer.byteLength(preface);
  const body = whole.subarray(start);
  const unclosed = unclosedQuotes(body, Buffer.from(delimiter));
  const lineOf = lineCounter(whole);
  // The parser makes an error, which costs 50 µs, for each line that is not as long as the first. Resetting the count makes each line the first.
  const on_record = (record: string[]) => (Object.assign(parser.info, { records: 0 }), record);
  const parser: Parser = parse({ ...CSV, delimiter, info: true, on_record });
  pipeline(inTurns(withoutUnclosed(body, unclosed)), parser, () => undefined); // the reader of the parser gets its errors
  let isHeader = true;
  for await (const { info, record } of parser as AsyncIterable<CsvRecord>) {
    if (!isHeader) yield csvLine(columns, record, lineOf(start + info.bytes - 1));
    isHeader = false;
  }
  const lineOfQuote = lineCounter(whole);
  for (const { quote } of unclosed) yield { number: lineOfQuote(start + quote), fault: UNCLOSED };
}

const UNCLOSED = 'A quote that begins in this line is not closed.';

const [LF, CR, QUOTE] = [10, 13, 34];

/** Byte offsets: the beginning of a record, a quote in it that is not closed, and the end of the line with that quote. */
interface Unclosed {
  readonly record: number;
  readonly quote: number;
  readonly end: number;
}

/**
 * Finds quotes that are not closed. The parser would close such a quote with the opening one of a later cell, and read all lines between as
 * one cell. No byte is read more than twice, because the quote where a search ended is the next that may not be closed.
 */
function unclosedQuotes(bytes: Buffer, delimiter: Buffer): Unclosed[] {
  const unclosed: Unclosed[] = [];
  for (let [at, record] = [0, 0]; at < bytes.length; at++) {
    if (isEnd(bytes[at])) record = at + 1;
    if (bytes[at] !== QUOTE || !beginsCell(bytes, at, delimiter)) continue;
    const closing = closingQuote(bytes, at, delimiter);
    const end = closing ?? endOfLine(bytes, at);
    if (closing === undefined) unclosed.push({ record, quote: at, end });
    at = closing ?? end - 1;
  }
  return unclosed;
}

/** In the same line any quote closes a cell, as for the parser. In a later line only a quote at the end of a cell does. */
function closingQuote(bytes: Buffer, opening: number, delimiter: Buffer): number | undefined {
  let isInLine = true;
  for (let at = opening + 1; at < bytes.length; at++) {
    if (isEnd(bytes[at])) isInLine = false;
    if (bytes[at] !== QUOTE) continue;
    if (bytes[at + 1] !== QUOTE) return isInLine || endsCell(bytes, at, delimiter) ? at : undefined;
    at++; // a doubled quote
  }
  return undefined;
}

const isEnd = (byte: number | undefined) => byte === LF || byte === CR;

const beginsCell = (bytes: Buffer, at: number, delimiter: Buffer) =>
  at === 0 || isEnd(bytes[at - 1]) || isPartAt(bytes, at - delimiter.length, delimiter);

const endsCell = (bytes: Buffer, at: number, delimiter: Buffer) =>
  at + 1 === bytes.length || isEnd(bytes[at + 1]) || isPartAt(bytes, at + 1, delimiter);

const isPartAt = (bytes: Buffer, at: number, part: Buffer) => part.every((byte, index) => bytes[at + index] === byte);

function endOfLine(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length && !isEnd(bytes[at])) at++;
  return at;
}

/** Replaces such records by blank lines, so that line numbers stay the same. It writes CR, because an LF after a CR would be part of one line end. */
function withoutUnclosed(bytes: Buffer, unclosed: readonly Unclosed[]): Buffer {
  const rest = Buffer.from(bytes);
  for (const { record, end } of unclosed) rest.fill(CR, record, end);
  return rest;
}

/** Returns the line of a byte; bytes must be asked for in ascending order. The parser's own count is wrong for CR LF within quotes. */
function lineCounter(bytes: Buffer): (at: number) => number {
  let [line, seen] = [1, 0];
  return (at) => {
    for (; seen < at; seen++) if (bytes[seen] === LF || (bytes[seen] === CR && bytes[seen + 1] !== LF)) line++;
    return line;
  };
}

const PIECE_BYTES = 2_048;

/** Small pieces, each in its own turn of the event loop, because the parser parses synchronously what it gets. */
async function* inTurns(bytes: Buffer): AsyncGenerator<Buffer, void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
    await nextTurn();
  }
}

function csvLine(columns: readonly string[], cells: readonly string[], number: number): Line {
  if (cells.some((cell, index) => !columns[index] && cell.trim() !== '')) return { number, fault: UNNAMED };
  return { number, value: valueOf(columns, cells) };
}

const UNNAMED = 'It has a cell in a column that the first line does not name.';

const NUMBERS = ['year', 'duration'];

/** The value as in JSON. An empty or missing cell is no field. */
function valueOf(columns: readonly string[], cells: readonly string[]): Record<string, unknown> {
  const filled = columns.flatMap((column, index) => {
    const cell = column === '' ? '' : (cells[index] ?? '');
    return cell === '' ? [] : [[column, NUMBERS.includes(column) ? numberOf(cell) : cell]];
  });
  return Object.fromEntries(filled) as Record<string, unknown>;
}

const numberOf = (cell: string) => (/^\s*-?\d+\s*$/.test(cell) ? Number(cell) : cell);

async function* jsonLines(bytes: Readable): AsyncGenerator<Line, void> {
  let number = 0;
  for await (const line of textLines(bytes)) {
    number++;
    if (line.trim() !== '') yield jsonLine(number, line);
  }
}

/** The longest line of JSON, which is longer than any album or song. */
const MAX_LINE_LENGTH = 65_536;

function jsonLine(number: number, line: string): Line {
  if (line.length > MAX_LINE_LENGTH) return { number, fault: `It has more than ${MAX_LINE_LENGTH} characters.` };
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
    // Only the new chunk is searched, not the rest of a long line again.
    const [first = '', ...others] = decoder.decode(chunk, { stream: true }).split('\n');
    const lines = [rest + first, ...others];
    rest = lines.pop() ?? '';
    yield* lines;
  }
  yield rest;
}
