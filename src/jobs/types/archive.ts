import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { Files } from '../../providers/files/files.ts';
import { listOf, opaqueId } from '../../text.ts';
import { JobFailure, type JobOutcome, type JobType, type JobServices, type Work } from '../job-type.ts';
import { packInto, type ZipEntry } from '../zip.ts';
import { type Packable, packableOf } from './archive-files.ts';
import { onScratch } from './scratch-file.ts';

export const MAX_FILES = 1_000;
export const NAMED_TWICE = 'must not name a file twice';

const MEDIA_TYPE = 'application/zip';

export const areDistinct = (ids: readonly string[]): boolean => new Set(ids).size === ids.length;

/** Distinct ids. */
export const fileIds = listOf(opaqueId(), MAX_FILES)
  .refine(areDistinct, NAMED_TWICE)
  .meta({
    description: 'Files of your jobs, and albums for their covers.',
    examples: [['file-01999d3e', 'album-01999d3f']],
  });
const payload = z.strictObject({ fileIds });
const parameters = z.object({ readsAll: z.boolean() });

/** Packs files into one archive. Missing files are failed items; the others are packed all the same. */
export const archive: JobType<z.output<typeof payload>> = {
  name: 'archive',
  access: 'users',
  usesFiles: true,
  payload,
  backoff: 'exponential',
  async plan({ fileIds }, { caller, isAdmin: readsAll, database, files }) {
    const packable = await packableOf(database, fileIds, { account: caller, readsAll });
    if (!(await anyIsKept(files, packable.values())))
      throw new AppError('rejected', 'NO_FILES', 'None of these files is there.');
    return {
      parameters: { readsAll },
      payload: { fileIds },
      items: fileIds.map((fileId) => ({ fileId })),
      bytes: sizeOf(packable),
    };
  },
  work: (work, services) => onScratch(work, services, (file) => pack(work, services, file)),
};

/** The sum of the sizes. What compression saves is not known before, and it does not make images and archives smaller. */
const sizeOf = (packable: ReadonlyMap<string, Packable>): number =>
  [...packable.values()].reduce((sum, { size = 0 }) => sum + size, 0);

/** True as well while the store cannot be read: the worker will find out. */
async function anyIsKept(files: Pick<Files, 'open'>, packable: Iterable<Packable>): Promise<boolean> {
  try {
    for (const { stored } of packable) {
      const file = await files.open(stored);
      await file?.close();
      if (file) return true;
    }
    return false;
  } catch {
    return true;
  }
}

/** Packs all files in each attempt, because the archive of a failed attempt is deleted. */
async function pack(work: Work, { database, files, claim }: JobServices, file: string): Promise<JobOutcome> {
  const { jobId, ownerId: account, ownerIsAdmin, signal } = work;
  const { readsAll: askedAsAdmin } = parameters.parse(work.parameters);
  const readsAll = askedAsAdmin && ownerIsAdmin;
  const { fileIds } = payload.parse(work.payload);
  const packable = await packableOf(database, fileIds, { account, readsAll });
  const entries = fileIds.map((fileId, index) => entryOf(index, fileId, packable.get(fileId), files));
  const missing: number[] = [];
  const onEntry = async ({ index }: Entry, outcome: string) => {
    if (outcome === 'missing') missing.push(index);
    await work.mustBeAllowed(); // up to the last file, because nothing is given out before all are packed
    await work.progress({ done: index + 1 - missing.length, total: fileIds.length, failed: missing.length });
  };
  const { packed, size } = await packInto(file, entries, { signal, onEntry });
  const stored = `archives/${jobId}.zip`;
  if (packed > 0) {
    await claim({ name: stored, account, bytes: size });
    await files.putFile(stored, file, MEDIA_TYPE);
  }
  await settle(work, entries, new Set(missing));
  if (packed === 0) throw new JobFailure('permanent', 'NO_FILES', 'none of the files exists any more');
  return {
    done: packed,
    total: fileIds.length,
    failed: missing.length,
    result: { packed, missing: missing.length },
    file: { stored, name: 'archive.zip', kind: 'archive', mediaType: MEDIA_TYPE, size },
  };
}

interface Entry extends ZipEntry {
  /** Index of the job's item. */
  readonly index: number;
}

const entryOf = (index: number, fileId: string, packable: Packable | undefined, files: Files): Entry => ({
  index,
  name: packable?.name ?? fileId,
  mediaType: packable?.mediaType ?? '',
  open: async () => packable && files.open(packable.stored),
});

/** Called once the archive is stored: before that no item is done. */
const settle = ({ items }: Work, entries: readonly Entry[], missing: ReadonlySet<number>) =>
  Promise.all(
    entries.map(({ index }) =>
      missing.has(index) ? items.failed(index, 'There is no such file.') : items.done(index),
    ),
  );
