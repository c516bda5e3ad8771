/** What a job does. It contains nothing personal: addresses, texts and items are in Postgres, under `payloadId`. */
export interface JobRequest {
  readonly jobType: string;
  /** Account id of the owner, who may see the job and its result. */
  readonly ownerId: string;
  /** JSON, in the form that the job's type defines. */
  readonly parameters: string;
  /** Id of the job's payload in Postgres; null without a payload. */
  readonly payloadId: string | null;
  /** The mail provider; null when the job sends no mail. */
  readonly provider: string | null;
  /** Number of items, as far as it is known at the request. */
  readonly total: number;
  /** Failed attempts after which the job is given up. */
  readonly attempts: number;
  readonly backoff: Backoff;
  /** Among jobs of the same owner, higher priorities start first; 0 is normal. */
  readonly priority: number;
  /** ISO 8601: the job starts no earlier; null for immediately. */
  readonly runAt: string | null;
  readonly repeat: Repeat | null;
  /** Id of the repeating job of which this is an occurrence. */
  readonly parentId: string | null;
  /** Id of the job that this one repeats with a corrected payload. */
  readonly replaces: string | null;
}

/** The pauses between attempts. */
export interface Backoff {
  /** `exponential`, `fixed`, `none`; any other value is read as `exponential`. */
  readonly strategy: string;
  /** Pause after the first failed attempt. */
  readonly firstMs: number;
  readonly maxMs: number;
}

export interface Repeat {
  /** Five fields, or six with seconds first. */
  readonly cron: string;
  /** IANA name. */
  readonly timeZone: string;
  /** ISO 8601: the next due time. */
  readonly first: string;
  /** What happens with times that passed while no scheduler ran: `run-once`, `run-all`, `skip`; any other value is read as `run-once`. */
  readonly missed: string;
  /** ISO 8601: the last possible time; null: no end. */
  readonly until: string | null;
  /** Occurrences after which it ends; null: no limit. */
  readonly count: number | null;
}

/** A file that a job produced. */
export interface JobFile {
  readonly fileId: string;
  /** Name of the file at the provider. */
  readonly stored: string;
  /** File name of the download. */
  readonly name: string;
  /** `export`, `archive`, `report`. */
  readonly kind: string;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
}

/** The events of a job. Its id is also that of the stream, `job-…`. */
export type JobEvent = { readonly jobId: string } & (
  | { readonly type: 'JobRequested'; readonly request: JobRequest }
  | {
      readonly type: 'JobAttemptStarted';
      /** From 1. */
      readonly attempt: number;
      /** Earlier attempts that count against the limit. */
      readonly counted: number;
      /** Whether the attempt before was lost with its worker. */
      readonly takesOver: boolean;
      readonly worker: string;
    }
  | {
      readonly type: 'JobAttemptFailed';
      readonly attempt: number;
      /** Attempts so far that count against the limit. */
      readonly counted: number;
      readonly code: string;
      /** Message without mail addresses. */
      readonly error: string;
      /** ISO 8601: the next attempt starts no earlier. */
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
      /** Message without mail addresses. */
      readonly error: string;
    }
  | {
      readonly type: 'JobCancelled';
      /** The attempt that was running; 0 when none was. */
      readonly attempt: number;
    }
  | {
      readonly type: 'JobRetried';
      readonly request: JobRequest;
      /** Number of the last attempt. */
      readonly attempt: number;
      /** Whether only failed items are repeated. */
      readonly failedOnly: boolean;
    }
  | {
      readonly type: 'JobOccurred';
      /** Id of the job of the occurrence; null when all due times were skipped. */
      readonly occurrenceId: string | null;
      /** Occurrences so far, including this one. */
      readonly number: number;
      /** ISO 8601: the time of the occurrence, or the last skipped time. */
      readonly at: string;
      /** Number of missed times before it that are skipped. */
      readonly passedOver: number;
      /** ISO 8601: the next due time; null at the end. */
      readonly next: string | null;
    }
  /** The job repeats by the new schedule from now on; the earlier due time no longer applies. */
  | { readonly type: 'JobRepeatChanged'; readonly repeat: Repeat }
  /** The job is no longer listed as a dead letter. */
  | { readonly type: 'DeadLetterDropped' }
);
