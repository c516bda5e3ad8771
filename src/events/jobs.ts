/** What was asked for. Nothing personal is in it: addresses, texts and items lie in Postgres, under `payloadId`. */
export interface JobRequest {
  readonly jobType: string;
  /** Account id of the owner, who may see the job and its result. */
  readonly ownerId: string;
  /** JSON, as the job's type wants it. */
  readonly parameters: string;
  /** Names what is kept in Postgres for the job; null when it needs nothing of there. */
  readonly payloadId: string | null;
  /** Of mail; null when the job sends none. */
  readonly provider: string | null;
  /** How many items it is known to have. */
  readonly total: number;
  /** Attempts that may fail before it is given up. */
  readonly attempts: number;
  readonly backoff: Backoff;
  /** Among jobs of the same owner, a higher one comes first; 0 is normal. */
  readonly priority: number;
  /** ISO 8601: not before; null for at once. */
  readonly runAt: string | null;
  readonly repeat: Repeat | null;
  /** The repeating job of which this is an occurrence. */
  readonly parentId: string | null;
  /** The job that this one does again, with a corrected payload. */
  readonly replaces: string | null;
}

/** How long to wait between attempts. */
export interface Backoff {
  /** `exponential`, `fixed`, `none`; any other value is read as `exponential`. */
  readonly strategy: string;
  /** After the first attempt that failed. */
  readonly firstMs: number;
  readonly maxMs: number;
}

export interface Repeat {
  /** Five fields, or six with seconds first. */
  readonly cron: string;
  /** IANA name. */
  readonly timeZone: string;
  /** ISO 8601: the next time that is due. */
  readonly first: string;
  /** What becomes of times that passed while nothing ran: `run-once`, `run-all`, `skip`; any other value is read as `run-once`. */
  readonly missed: string;
  /** ISO 8601: no time after this one is due; null: no end. */
  readonly until: string | null;
  /** Occurrences after which it ends; null: no limit. */
  readonly count: number | null;
}

/** A file that a job has made. */
export interface JobFile {
  readonly fileId: string;
  /** Under which the provider keeps it. */
  readonly stored: string;
  /** As it is called when it is downloaded. */
  readonly name: string;
  /** `export`, `archive`, `report`. */
  readonly kind: string;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
}

/** What can happen to a job. The stream is `job-…`, and its id is the job's. */
export type JobEvent = { readonly jobId: string } & (
  | { readonly type: 'JobRequested'; readonly request: JobRequest }
  | {
      readonly type: 'JobAttemptStarted';
      /** From 1. */
      readonly attempt: number;
      /** Attempts before this one that count. */
      readonly counted: number;
      /** The attempt before was given up with its worker. */
      readonly takesOver: boolean;
      readonly worker: string;
    }
  | {
      readonly type: 'JobAttemptFailed';
      readonly attempt: number;
      /** Attempts so far that count. */
      readonly counted: number;
      readonly code: string;
      /** Without addresses. */
      readonly error: string;
      /** ISO 8601: the next attempt begins no sooner. */
      readonly retryAt: string;
    }
  | {
      readonly type: 'JobProgressed';
      readonly attempt: number;
      readonly done: number;
      readonly total: number;
      readonly failed: number;
    }
  | {
      readonly type: 'JobCompleted';
      readonly attempt: number;
      readonly done: number;
      readonly total: number;
      readonly failed: number;
      readonly file: JobFile | null;
      /** JSON object. */
      readonly result: string;
    }
  | {
      readonly type: 'JobDied';
      readonly attempt: number;
      readonly code: string;
      /** Without addresses. */
      readonly error: string;
    }
  | {
      readonly type: 'JobCancelled';
      /** That ran then; 0 when none did. */
      readonly attempt: number;
    }
  | {
      readonly type: 'JobRetried';
      readonly request: JobRequest;
      /** The last one there was. */
      readonly attempt: number;
      /** Only items that failed are done again. */
      readonly failedOnly: boolean;
    }
  | {
      readonly type: 'JobOccurred';
      /** The job of that time; null when times were only passed over. */
      readonly occurrenceId: string | null;
      /** Occurrences so far, this one included. */
      readonly number: number;
      /** ISO 8601: the time that has come, or the last one that was passed over. */
      readonly at: string;
      /** Times before it that were missed and do not occur. */
      readonly passedOver: number;
      /** ISO 8601; null when there is no other. */
      readonly next: string | null;
    }
  /** From now on it repeats like this; the time that was due before is not. */
  | { readonly type: 'JobRepeatChanged'; readonly repeat: Repeat }
  /** It is no longer listed as a dead letter. */
  | { readonly type: 'DeadLetterDropped' }
);
