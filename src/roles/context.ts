import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Config } from '../config.ts';
import type { Faults } from '../faults.ts';
import type { Probe } from '../http/health.ts';
import { rateOf } from '../http/rate-limits.ts';
import { createQuota } from '../jobs/quota.ts';
import { createStoredFiles } from '../jobs/stored-files.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { Ownership } from '../log/ownership.ts';
import type { Database } from '../postgres/pool.ts';
import type { Consumers } from '../projections/engine/consumers.ts';
import type { Resources } from '../resources.ts';
import type { Commits } from './commits.ts';

/** What a process has before it opens anything. */
export interface ProcessOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Stops in reverse order what the parts have started. */
  readonly lifecycle: Lifecycle;
  readonly registry: Registry;
  readonly faults: Faults;
  /** Ends the process, because something that it needs is lost for good. */
  readonly crash: (error: Error) => void;
}

/** What every part of a process is made with. */
export interface Context extends ProcessOptions {
  readonly resources: Resources;
  /** Present where this database owns the log of a broker. */
  readonly ownership: Ownership | undefined;
  /** The consumers of this process, as its health is told from them. */
  readonly consumers: Consumers;
  /** Tells the handlers that wait for a verdict what was committed. */
  readonly commits: Commits;
}

/** A part of a process: what other parts use of it, and its lines in `/health`. */
export interface Part<Service> {
  readonly service: Service;
  readonly probes: Readonly<Record<string, Probe>>;
}

/** How many jobs an account may have and begin. */
export const quotaOf = ({ JOBS_UNFINISHED, RATE_JOBS, REPEATS }: Config, database: Database) =>
  createQuota({ database, unfinished: JOBS_UNFINISHED, rate: rateOf(RATE_JOBS), repeats: REPEATS });

/** Sizes of stored files, in the namespace's own tables. */
export const storedFilesOf = ({ STORED_BYTES }: Config, tables: Database) => createStoredFiles(tables, STORED_BYTES);

/** Pauses between attempts at a job. */
export const pausesOf = (config: Config) => ({
  firstMs: config.JOB_BACKOFF_SECONDS * 1_000,
  mostMs: config.JOB_BACKOFF_MOST_SECONDS * 1_000,
});
