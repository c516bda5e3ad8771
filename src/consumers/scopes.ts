import { EXPORTER } from './exporter.ts';
import { SCHEDULER } from './scheduler.ts';
import { WORKER } from './worker.ts';

/** The groups that keep a queue of jobs. */
export const SCOPES = [EXPORTER, WORKER, SCHEDULER] as const;
