import { writeFile } from 'node:fs/promises';
import { writeOut } from '../transfer/destination.ts';
import { exportEvents } from '../transfer/export.ts';
import { type FormatName, FORMATS } from '../transfer/formats.ts';
import { rawLines } from '../transfer/raw.ts';
import { type Selection, type SelectionOptions, selectionOf } from '../transfer/selection.ts';
import { showProgress } from './progress.ts';
import { type ReadingContext, withLogReading } from './with-log-reading.ts';

export interface ExportOptions extends SelectionOptions {
  readonly format: string;
  /** Every record as it is stored, losers too, for `log import`. */
  readonly raw?: boolean;
  /** A file; stdout without it. */
  readonly out?: string;
  /** Where the manifest is written; beside the file unless it is given. */
  readonly manifest?: string;
}

/** Writes the selected part of the log, as it was when the command began, and a manifest that says what was written. */
export function logExport(options: ExportOptions): Promise<number> {
  const format = formatOf(options);
  return withLogReading(async (context) => {
    const selection = selectionOf(options, context.ends);
    const manifest = format === 'raw' ? await writeRaw(context, selection, options) : await writeEvents(context, selection, format, options); // prettier-ignore
    const file = options.manifest ?? (options.out === undefined ? undefined : `${options.out}.manifest.json`);
    if (file !== undefined) await writeFile(file, `${JSON.stringify(manifest, null, 2)}\n`);
    const what = 'events' in manifest ? `${manifest.events} events` : `${manifest.entries} entries`;
    process.stderr.write(`${what}, ${manifest.bytes} bytes, sha256 ${manifest.sha256}\n`);
    return 0;
  });
}

const isFormat = (name: string): name is FormatName => Object.hasOwn(FORMATS, name);

function formatOf({ format, raw = false, type = [] }: ExportOptions): FormatName | 'raw' {
  if (!isFormat(format))
    throw new Error(`There is no format ${format}. There are: ${Object.keys(FORMATS).join(', ')}.`);
  if (!raw) return format;
  if (format !== 'ndjson' || type.length > 0)
    throw new Error('A raw export is NDJSON of all records: give it no other --format, and no --type.');
  return 'raw';
}

async function writeEvents(context: ReadingContext, selection: Selection, format: FormatName, { out }: ExportOptions) {
  const { chunks, counts } = exportEvents(context.reading, selection, format, showProgress('exported'));
  const written = await writeOut(chunks, out, context.signal);
  const { since = null, before = null, types: selected = null } = selection;
  return { ...about(context, format), since, before, selected, ...counts(), ...written };
}

async function writeRaw(context: ReadingContext, { ranges, since, before }: Selection, { out }: ExportOptions) {
  if (since !== undefined || before !== undefined)
    throw new Error('A raw export has records without a time: give --from and --to as positions.');
  const written = await writeOut(rawLines(context.reading, ranges, showProgress('exported')), out, context.signal);
  const entries = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  return { ...about(context, 'raw'), entries, ranges, ...written };
}

const about = ({ placement: { namespace, partitions }, reading: { incarnation } }: ReadingContext, format: string) => ({
  format,
  namespace,
  partitions,
  incarnation,
});
