/** Characters that are not visible ASCII, or have a meaning in a header, in a path or in a shell. */
const UNSAFE = /[^\x20-\x7e]|["%\\/:*?<>|;]/gu;

/** Characters that end a line or reverse the direction of text. */
const MISLEADING = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

/**
 * Gives the Content-Disposition under which a client saves the file with that name (RFC 6266): the full name in `filename*`, and
 * an ASCII name for clients that do not read that.
 */
export function attachmentOf(filename: string): string {
  const name = filename.toWellFormed().replace(MISLEADING, '_') || 'file';
  return `attachment; filename="${name.replace(UNSAFE, '_')}"; filename*=UTF-8''${extended(name)}`;
}

/** Encodes as RFC 8187 does, which allows four characters fewer than encodeURIComponent. */
const extended = (text: string) =>
  encodeURIComponent(text).replace(/['()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
