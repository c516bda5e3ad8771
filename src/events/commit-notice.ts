/** Word of a commit, for those who wait for verdicts. It may be lost. */
export interface CommitNotice {
  /** Ids of records that won and are in every build that anybody reads. */
  readonly won: readonly string[];
  /** The tables know more than that: somebody lost, or a stream is closed, or another build has to be looked at. */
  readonly recheck: boolean;
}

/** What to think when words may have been missed. */
const MISSED_NOTICE: CommitNotice = { won: [], recheck: true };

const RECHECK = 'look';
/** Postgres takes less than 8,000 bytes in one notice. */
const IDS_PER_NOTICE = 200;

/** The word as payloads of notices; none when there is nothing to say. */
export function noticesOf({ won, recheck }: CommitNotice): string[] {
  const notices = recheck ? [RECHECK] : [];
  for (let from = 0; from < won.length; from += IDS_PER_NOTICE) {
    notices.push(won.slice(from, from + IDS_PER_NOTICE).join(' '));
  }
  return notices;
}

/** The word that a notice brings; undefined stands for notices that were missed. */
export function parseNotice(notice: string | undefined): CommitNotice {
  if (notice === undefined || notice === RECHECK) return MISSED_NOTICE;
  return { won: notice.split(' '), recheck: false };
}
