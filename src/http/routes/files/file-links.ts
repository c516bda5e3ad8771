import type { FastifyRequest } from 'fastify';
import { notFound } from '../../../errors.ts';
import { fileOfJob, type StoredFileView } from '../../../projections/job-files.ts';
import { filesUnavailable } from '../../../providers/files/failure.ts';
import type { Files, OpenFile } from '../../../providers/files/files.ts';
import { HttpError } from '../../errors.ts';
import { type JobDependencies, visibleJob } from '../jobs/job-commands.ts';
import { linkTo } from './links.ts';

/** Opens the file, if it is still stored. The caller must read or close it. */
export const openFile = (files: Pick<Files, 'open'>, stored: string): Promise<OpenFile | undefined> =>
  files.open(stored).catch(filesUnavailable);

/** Bytes of the file; undefined when it is no longer stored. */
export async function sizeOf(files: Pick<Files, 'open'>, stored: string): Promise<number | undefined> {
  const file = await openFile(files, stored);
  await file?.close();
  return file?.size;
}

export const fileGone = () => new HttpError({ status: 410, code: 'FILE_GONE', message: 'The file has been deleted.' });

/** A URL with which anyone can download the file until it expires. Throws 410 when the file has been deleted. */
async function linkFor(
  { files, publicUrl, jobs: { links } }: JobDependencies,
  { fileId, ownerId, stored, name, mediaType }: StoredFileView,
): Promise<{ url: string; expiresAt: string }> {
  if ((await sizeOf(files, stored)) === undefined) throw fileGone();
  const expires = new Date(Math.floor(Date.now() / 1_000 + links.age) * 1_000);
  const url = files.link
    ? await files.link(stored, { name, mediaType, expires }).catch(filesUnavailable)
    : linkTo({ publicUrl, fileId, owner: ownerId, expires }, links.keys);
  return { url, expiresAt: expires.toISOString() };
}

/** A link to the file of a job that the caller may see. Throws 409 until the job has succeeded. */
export async function resultLink(deps: JobDependencies, request: FastifyRequest, id: string) {
  const { job } = await visibleJob(deps.database, request, id);
  if (job.state !== 'succeeded') throw notReady(job.state);
  const file = await fileOfJob(deps.database, job.id);
  if (!file) throw notFound('NO_RESULT_FILE', 'This job has made no file.');
  return linkFor(deps, file);
}

const notReady = (state: string) =>
  new HttpError({ status: 409, code: 'RESULT_NOT_READY', message: `There is no result: the job is ${state}.` });
