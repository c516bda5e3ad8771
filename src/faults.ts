/** Where a process can be made to die. Nothing is called there in production. */
export type FaultPoint =
  /** The command is decided; its record is not yet handed to the log. */
  | 'before-append'
  /** The log has acknowledged the record; nobody has been told. */
  | 'after-append'
  /** Records are judged; the projector's transaction has not begun. */
  | 'before-commit'
  /** What is cached of the rows is marked; the projector's transaction has not begun. */
  | 'after-marks'
  /** The projector's transaction is committed; its marks are not off yet. */
  | 'before-release'
  /** The projector's transaction is committed; nobody has been told. */
  | 'after-commit';

/** Where a process that works on jobs can be made to die. */
export type JobFaultPoint =
  /** A mail is about to be handed to its provider. */
  | 'before-mail'
  /** The provider has taken the mail; nobody has written that down. */
  | 'after-mail'
  /** The work is done; its result is not yet handed to the log. */
  | 'before-record'
  /** The result is accepted; the job is still leased. */
  | 'after-record';

/** Where `openmusic log recover` can be made to die. */
export type RecoveryFaultPoint =
  /** What the operator has chosen is noted; nothing is changed yet. */
  | 'recovery-noted'
  /** A batch of records is in the log. */
  | 'recovery-appended'
  /** What only the log had is kept in Postgres; the log is still there. */
  | 'recovery-staged'
  /** The topics of the log are deleted. */
  | 'recovery-deleted'
  /** The new log has its first records. */
  | 'recovery-opened'
  /** The log is as it must be; Postgres is as it was. */
  | 'recovery-copied'
  /** All is done; nothing was said of it. */
  | 'recovery-reset';

/** What is called at a point whenever it is reached. */
export type Faults = Readonly<Partial<Record<FaultPoint | JobFaultPoint | RecoveryFaultPoint, () => void>>>;
