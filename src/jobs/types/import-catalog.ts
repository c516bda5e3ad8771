import { hash } from 'node:crypto';
import { z } from 'zod';
import { originWithoutBody } from '../../commands/command.ts';
import { AppError } from '../../errors.ts';
import { idFromCommand } from '../../events/ids.ts';
import { albumExists } from '../../projections/albums.ts';
import { filesUnavailable } from '../../providers/files/failure.ts';
import { storable } from '../../text.ts';
import type { Items } from '../items.ts';
import { JobFailure, type JobOutcome, type JobType, type JobServices, type Work } from '../job-type.ts';
import { type ImportEntry, entriesOf } from './import-entries.ts';
import { COLUMNS, countLines, headerFault, linesOf } from './import-lines.ts';

const MAX_BYTES = 5_242_880;
const MAX_LINES = 100_000;
const CONCURRENCY = 16;

const FORMAT = z.enum(['csv', 'ndjson'], { error: 'must be csv or ndjson' });

/** Text for the API page. */
export const IMPORT_RULES =
  `At most 5 MiB and ${MAX_LINES} lines, each an album or a song: one JSON object in each line (\`ndjson\`), or CSV whose first line ` +
  `names its columns. Columns of CSV, in any order, and keys of the objects: ${COLUMNS.join(', ')}. \`kind\` is \`album\` or \`song\`. ` +
  'An album has `name` and `year`; a song has `title`, `year`, `genre`, `performer`, and may have `duration` (seconds) ' +
  'and `album`: the name of an album in a line above, of several the last, or the id of any album. A name that is spelled in no line ' +
  'above is found in upper or lower case, and however its letters are encoded. The limits are those ' +
  'of `POST /albums` and `POST /songs`; an empty cell is nothing. Lines that are not imported are items of the job, by ' +
  'their number from 1; a quote that is not closed is an item of the line in which it begins. Lines of CSV end in LF, CR LF or CR. ' +
  'Its cells are separated by commas, semicolons or tabs, as in its first line, or by what a line `sep=…` before that says. ' +
  'Names of columns may be in any case. Empty cells at the end of a line may be missing, or be too many.';

const payload = z
  .strictObject({ format: FORMAT, data: storable(MAX_BYTES) })
  .superRefine(({ format, data }, { addIssue }) => {
    const fault = faultOf(format, data);
    if (fault !== undefined) addIssue({ code: 'custom', path: ['data'], message: fault });
  });

function faultOf(format: z.output<typeof FORMAT>, data: string): string | undefined {
  if (Buffer.byteLength(data) > MAX_BYTES) return `must have at most ${MAX_BYTES} bytes`;
  if (countLines(format, data) > MAX_LINES) return `must have at most ${MAX_LINES} lines`;
  return format === 'csv' ? headerFault(data) : undefined;
}

const parameters = z.object({ format: FORMAT, stored: z.string(), lines: z.int() });

/**
 * Adds albums and songs to the catalog, line by line. A line's command has a name that is the same however often it is sent,
 * so that an attempt after a crash sends them all again and none has its effect twice.
 */
export const importCatalog: JobType<z.output<typeof payload>> = {
  name: 'import-catalog',
  access: 'admins',
  usesFiles: true,
  payload,
  backoff: 'exponential',
  async plan({ format, data }, { jobId, files }) {
    // The name depends on the data too, because another body may come under the same idempotency key.
    const stored = `imports/${jobId}.${hash('sha256', data, 'hex').slice(0, 16)}.${format}`;
    await files.put(stored, Buffer.from(data), MEDIA_TYPES[format]).catch(filesUnavailable);
    // Bad lines become items, which need a payload.
    return { parameters: { format, stored, lines: countLines(format, data) }, payload: {} };
  },
  async work(work, services) {
    const { format, stored, lines } = parameters.parse(work.parameters);
    const reports = await reportsOf(work.items);
    const file = await services.files.open(stored);
    if (!file) throw new JobFailure('permanent', 'PAYLOAD_LOST', 'the data of the import is not stored any more');
    const entries = entriesOf(work.jobId, linesOf(format, await file.read()));
    const counts = { album: 0, song: 0, bad: 0 };
    await forEachConcurrently(entries, async (entry) => {
      work.signal.throwIfAborted();
      await work.mustBeAllowed();
      const fault = await importEntry(entry, work, services);
      await reports.settle(entry.line, fault);
      counts[fault === undefined ? entry.kind : 'bad']++;
      // The number of blank lines and of lines within cells is known only at the end.
      await work.progress({ done: counts.album + counts.song, total: lines, failed: counts.bad });
    });
    return outcomeOf(counts);
  },
};

const MEDIA_TYPES = { csv: 'text/csv', ndjson: 'application/x-ndjson' };

function outcomeOf({ album: albums, song: songs, bad }: Record<ImportEntry['kind'], number>): JobOutcome {
  const done = albums + songs;
  return { done, total: done + bad, failed: bad, result: { albums, songs, bad } };
}

/** Rejects with the first failure, once nothing runs. */
async function forEachConcurrently<T>(
  things: AsyncGenerator<T, void>,
  act: (thing: T) => Promise<void>,
): Promise<void> {
  const one = async () => {
    for await (const thing of things) await act(thing);
  };
  const ended = await Promise.allSettled(Array.from({ length: CONCURRENCY }, one));
  const failed = ended.find(({ status }) => status === 'rejected');
  if (failed) throw (failed as PromiseRejectedResult).reason;
}

/** Settles lines. A bad line of an earlier attempt is an item already; any other bad line becomes one. */
async function reportsOf(items: Items) {
  const retried = new Set((await items.due(MAX_LINES)).map(({ index }) => index));
  return {
    async settle(line: number, fault: string | undefined): Promise<void> {
      if (!retried.has(line)) return fault === undefined ? undefined : items.report(line, fault);
      return fault === undefined ? items.done(line) : items.failed(line, fault);
    },
  };
}

/** Resolves to what is wrong with the line; undefined when it was imported. */
async function importEntry(entry: ImportEntry, work: Work, services: JobServices): Promise<string | undefined> {
  if (entry.kind === 'bad') return entry.fault;
  try {
    await (entry.kind === 'album' ? importAlbum(entry, work, services) : importSong(entry, work, services));
    return undefined;
  } catch (error) {
    return refusalOf(error);
  }
}

type Of<Kind extends ImportEntry['kind']> = Extract<ImportEntry, { kind: Kind }>;

async function importAlbum(
  { details, settle, ...entry }: Of<'album'>,
  work: Work,
  { commands }: JobServices,
): Promise<void> {
  const command = { type: 'CreateAlbum', details } as const;
  try {
    await commands.album({ ...addressed(entry, work), command });
  } finally {
    settle();
  }
}

async function importSong({ details, album, ...entry }: Of<'song'>, work: Work, services: JobServices): Promise<void> {
  await album;
  const { albumId } = details;
  const command = { type: 'CreateSong', details } as const;
  const context = async () => ({ albumExists: albumId === null || (await albumExists(services.database, albumId)) });
  await services.commands.song({ ...addressed(entry, work), command, context });
}

function addressed({ kind, commandId }: Pick<Of<'album' | 'song'>, 'kind' | 'commandId'>, { jobId, ownerId }: Work) {
  const origin = originWithoutBody({ commandId, repeatable: true, actor: ownerId, correlationId: jobId });
  return { stream: idFromCommand(kind, commandId), origin };
}

/** The message of a refusal that would come in each attempt. Throws errors that a further attempt may not meet. */
function refusalOf(error: unknown): string {
  if (!(error instanceof AppError) || error.kind === 'unavailable') throw error;
  if (error.kind === 'conflict') throw new JobFailure('retryable', error.code, error.message, { cause: error });
  return error.message;
}
