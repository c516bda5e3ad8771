import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { createQueues } from '../../commands/queues.ts';
import type { JobOutcome, JobType, JobServices, Work } from '../job-type.ts';
import { REPORT_FORMATS } from './report-formats.ts';
import { atOneMoment, type Catalog } from './report-snapshot.ts';
import { onScratch } from './scratch-file.ts';

const payload = z.strictObject({
  format: z.enum(['json', 'csv'], { error: 'must be json or csv' }).default('json'),
});

/** Reports the owner's playlists and the catalog as they are at one moment. */
export const report: JobType<z.output<typeof payload>> = {
  name: 'report',
  access: 'users',
  usesFiles: true,
  payload,
  backoff: 'exponential',
  plan: (parameters) => ({ parameters }),
  work: (work, services) => onScratch(work, services, (file) => make(work, services, file)),
};

async function make(work: Work, { database, files, claim }: JobServices, file: string): Promise<JobOutcome> {
  const { format } = payload.parse(work.parameters);
  const { mediaType } = REPORT_FORMATS[format];
  const { size, catalog } = await inTurn('report', () => write(work, database, format, file));
  const stored = `reports/${work.jobId}.${format}`;
  await claim({ name: stored, account: work.ownerId, bytes: size });
  await files.putFile(stored, file, mediaType);
  const { albums, songs } = catalog;
  return { file: { stored, name: `report.${format}`, kind: 'report', mediaType, size }, result: { albums, songs } };
}

/** One report at a time, because each holds a connection while it is written. */
const inTurn = createQueues();

function write(
  { ownerId, signal }: Work,
  database: JobServices['database'],
  format: keyof typeof REPORT_FORMATS,
  file: string,
): Promise<{ size: number; catalog: Catalog }> {
  signal.throwIfAborted();
  return atOneMoment(database, ownerId, async (snapshot) => {
    const output = createWriteStream(file);
    await pipeline(Readable.from(REPORT_FORMATS[format].pieces(snapshot)), output, { signal });
    return { size: output.bytesWritten, catalog: snapshot.catalog };
  });
}
