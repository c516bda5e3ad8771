import type { JobType } from './job-type.ts';
import { archive } from './types/archive.ts';
import { dummy } from './types/dummy.ts';
import { email } from './types/email.ts';
import { emailBatch } from './types/email-batch.ts';
import { exportPlaylist } from './types/export-playlist.ts';
import { importCatalog } from './types/import-catalog.ts';
import { report } from './types/report.ts';

/** All types of jobs. */
export const jobTypes: readonly JobType[] = [dummy, exportPlaylist, email, emailBatch, archive, report, importCatalog];

/** The type of that name; undefined when there is none. */
export const jobTypeOf = (name: string): JobType | undefined => jobTypes.find((type) => type.name === name);

/** Prefixes of the names of files that jobs make. */
export const JOB_FILE_PREFIXES = ['exports/', 'archives/', 'reports/', 'imports/'];
