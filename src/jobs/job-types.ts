import type { JobType } from './job-type.ts';
import { archive } from './types/archive.ts';
import { dummy } from './types/dummy.ts';
import { email } from './types/email.ts';
import { emailBatch } from './types/email-batch.ts';
import { exportPlaylist } from './types/export-playlist.ts';
import { importCatalog } from './types/import-catalog.ts';
import { report } from './types/report.ts';

/** Every kind of job there is. */
export const jobTypes: readonly JobType[] = [dummy, exportPlaylist, email, emailBatch, archive, report, importCatalog];

/** The kind of job of that name; undefined when there is none. */
export const jobTypeOf = (name: string): JobType | undefined => jobTypes.find((type) => type.name === name);

/** What the names of files begin with that jobs make. */
export const MADE_BY_JOBS = ['exports/', 'archives/', 'reports/', 'imports/'];
