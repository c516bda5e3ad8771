import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Config } from '../config.ts';
import type { CommitNotice } from '../events/commit-notice.ts';
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
import type { CacheParts } from './cache.ts';

export interface RolesOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly lifecycle: Lifecycle;
  readonly registry: Registry;
  readonly faults: Faults;
  /** Something that this process cannot live without is gone for good. */
  readonly crash: (error: Error) => void;
}

/** What every part of a role is made with. */
export interface RoleOptions extends RolesOptions {
  readonly resources: Resources;
  /** Where this database owns the log of a broker. */
  readonly ownership: Ownership | undefined;
  readonly probes: Record<string, Probe>;
  /** Of this process. */
  readonly consumers: Consumers;
}

export interface Context extends RoleOptions {
  /** Tells whoever waits for a verdict that something was committed. */
  readonly commits: Commits;
  readonly cache: CacheParts;
}

/** How word of commits gets from the projector to the waiting handlers: in process, and by NOTIFY to other processes. */
export interface Commits {
  /** Of this process' own projector. */
  announce(word: CommitNotice): void;
  /** From anywhere. */
  onCommit(word: CommitNotice): void;
  /** Calls back with every word until the returned function is called. */
  subscribe(listener: (word: CommitNotice) => void): () => void;
}

/** Where word of commits is sent to other processes. */
export const channelOf = ({ NAMESPACE }: Config) => `${NAMESPACE} commits`;

/** How many jobs an account may have and begin. */
export const quotaOf = ({ JOBS_UNFINISHED, RATE_JOBS, REPEATS }: Config, database: Database) =>
  createQuota({ database, unfinished: JOBS_UNFINISHED, rate: rateOf(RATE_JOBS), repeats: REPEATS });

/** In the namespace's own tables. */
export const storedFilesOf = ({ STORED_BYTES }: Config, tables: Database) => createStoredFiles(tables, STORED_BYTES);

/** Pauses between attempts at a job. */
export const pausesOf = (config: Config) => ({
  firstMs: config.JOB_BACKOFF_SECONDS * 1_000,
  maxMs: config.JOB_BACKOFF_MOST_SECONDS * 1_000,
});
