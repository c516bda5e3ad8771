/** What is no visible ASCII, or would end or open something in a header, on a disk or in a shell. */
const UNSAFE = /[^\x20-\x7e]|["%\\/:*?<>|;]/gu;

/** Ends a line, or turns the way of reading round. */
const MISLEADING = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

/**
 * The Content-Disposition of a file that is to be saved under that name (RFC 6266): in full for those who read `filename*`,
 * and in ASCII for the others.
 */
export function attachmentOf(filename: string): string {
  const name = filename.toWellFormed().replace(MISLEADING, '_') || 'file';
  return `attachment; filename="${name.replace(UNSAFE, '_')}"; filename*=UTF-8''${extended(name)}`;
}

/** As RFC 8187 wants it: encodeURIComponent leaves four more as they are than that allows. */
const extended = (text: string) =>
  encodeURIComponent(text).replace(/['()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
