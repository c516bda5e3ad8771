/** Tells waiting handlers of a commit. It is only a hint, because it may be lost. */
export interface CommitNotice {
  /** Ids of records that won and are in every generation that is read. */
  readonly won: readonly string[];
  /** Whether the tables have to be read: a record lost, a stream is closed, or another generation is read too. */
  readonly recheck: boolean;
}

/** Stands for notices that may have been missed. */
const MISSED_NOTICE: CommitNotice = { won: [], recheck: true };

const RECHECK = 'look';
/** Postgres takes less than 8,000 bytes in one notice. */
const IDS_PER_NOTICE = 200;

/** The notice as payloads of NOTIFY; none when it is empty. */
export function noticesOf({ won, recheck }: CommitNotice): string[] {
  const notices = recheck ? [RECHECK] : [];
  for (let from = 0; from < won.length; from += IDS_PER_NOTICE) {
    notices.push(won.slice(from, from + IDS_PER_NOTICE).join(' '));
  }
  return notices;
}

/** Parses the payload of a NOTIFY; undefined stands for missed ones. */
export function parseNotice(notice: string | undefined): CommitNotice {
  if (notice === undefined || notice === RECHECK) return MISSED_NOTICE;
  return { won: notice.split(' '), recheck: false };
}
