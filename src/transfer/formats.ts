import { csvLine } from '../jobs/csv.ts';
import type { Winner } from '../event-store/judged-log.ts';
import { publishedText } from './cloud-event.ts';
import { dataOf, dataPaths, ENVELOPE_COLUMNS, valueAt } from './columns.ts';
import { decoded } from './log-reading.ts';
import { parquet } from './parquet.ts';

/** Writes events in pieces. The same events make the same bytes. */
export type Format = (
  events: AsyncIterable<readonly Winner[]>,
  types: readonly string[],
) => AsyncIterable<string | Uint8Array>;

export const FORMATS = { ndjson, csv, parquet } satisfies Record<string, Format>;
export type FormatName = keyof typeof FORMATS;

async function* ndjson(events: AsyncIterable<readonly Winner[]>): AsyncGenerator<string | Uint8Array, void> {
  for await (const batch of events) yield* textOf(batch, (winner) => `${publishedText(winner)}\n`);
}

/** A column for each part of the envelope, one for each field of the types, and one that says why there are none. */
async function* csv(
  events: AsyncIterable<readonly Winner[]>,
  types: readonly string[],
): AsyncGenerator<string | Uint8Array, void> {
  const paths = dataPaths(types);
  const names = [
    ...ENVELOPE_COLUMNS.map(({ name }) => name),
    ...paths.map((path) => `data.${path.join('.')}`),
    'quarantinereason',
  ];
  yield csvLine(names);
  const lineOf = (winner: Winner) => {
    const event = decoded(winner);
    const data = dataOf(event);
    const envelope = ENVELOPE_COLUMNS.map(({ value }) => value(event));
    return csvLine([
      ...envelope,
      ...paths.map((path) => cellOf(valueAt(data, path))),
      'poison' in event.payload ? event.payload.poison : null,
    ]);
  };
  for await (const batch of events) yield* textOf(batch, lineOf);
}

/** Empty for null and for a field that the event does not have. Lists are JSON. */
function cellOf(value: unknown): string | number | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value);
}

const PIECE_BYTES = 2 ** 20;

/** The lines as UTF-8. Each is written to the bytes by itself: one long text of all takes three times as long (measured). */
function* textOf<Event>(events: readonly Event[], lineOf: (event: Event) => string): Generator<Uint8Array, void> {
  let [piece, used] = [Buffer.allocUnsafe(PIECE_BYTES), 0];
  for (const event of events) {
    const line = lineOf(event);
    const most = 3 * line.length; // a UTF-16 unit takes three bytes at most
    if (used + most > piece.length) {
      if (used > 0) yield piece.subarray(0, used);
      [piece, used] = [Buffer.allocUnsafe(Math.max(PIECE_BYTES, most)), 0];
    }
    used += piece.write(line, used);
  }
  if (used > 0) yield piece.subarray(0, used);
}
