/** Where tests can make a process die. Nothing is called there in production. */
export type FaultPoint =
  /** The command is decided; its record has not been given to the log. */
  | 'before-append'
  /** The log has acknowledged the record; the handler has not been notified. */
  | 'after-append'
  /** Records are judged; the projector's transaction has not begun. */
  | 'before-commit'
  /** The cached answers that the rows change are marked; the projector's transaction has not begun. */
  | 'after-marks'
  /** The projector's transaction is committed; its marks are not yet removed. */
  | 'before-release'
  /** The projector's transaction is committed; the waiting handlers have not been notified. */
  | 'after-commit'
  /** Events are about to be appended to their published topics. */
  | 'before-publish'
  /** They are appended; the publisher does not know it yet. */
  | 'after-publish';

/** Where tests can make a process die that works on jobs. */
export type JobFaultPoint =
  /** A mail is about to be given to its provider. */
  | 'before-mail'
  /** The provider has accepted the mail; that is not yet recorded. */
  | 'after-mail'
  /** The work is done; its result has not been given to the log. */
  | 'before-record'
  /** The result is accepted; the job is still leased. */
  | 'after-record';

/** Where tests can make `openmusic log recover` die. */
export type RecoveryFaultPoint =
  /** The operator's choice is stored; nothing is changed yet. */
  | 'recovery-noted'
  /** A batch of records is in the log. */
  | 'recovery-appended'
  /** What only the log had is stored in Postgres; the log still exists. */
  | 'recovery-staged'
  /** The topics of the log are deleted. */
  | 'recovery-deleted'
  /** The new log has its first records. */
  | 'recovery-opened'
  /** The log is repaired; Postgres is as it was. */
  | 'recovery-copied'
  /** Everything is done; nothing has been printed about it. */
  | 'recovery-reset';

/** The function that is called each time a point is reached. */
export type Faults = Readonly<Partial<Record<FaultPoint | JobFaultPoint | RecoveryFaultPoint, () => void>>>;
