/** A mail as a receiver parses it, by the standards and not by the library that wrote it. */
export interface ParsedMail {
  /** In order, names in lower case, values unfolded but not decoded. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly subject: string;
  readonly messageId: string;
  readonly body: string;
  readonly attachments: readonly { readonly name: string; readonly mediaType: string; readonly content: Buffer }[];
}

export function parseMail(raw: Buffer): ParsedMail {
  const root = parsePart(raw.toString('latin1'));
  const [text, ...attached] = leavesOf(root);
  return {
    headers: root.headers,
    subject: decodeWords(valueOf(root, 'subject')),
    messageId: valueOf(root, 'message-id').replace(/^<(.*)>$/, '$1'),
    body: text ? contentOf(text).toString() : '',
    attachments: attached.map((part) => ({
      name: parameterOf(valueOf(part, 'content-disposition'), 'filename'),
      mediaType: valueOf(part, 'content-type').split(';')[0]!.trim(),
      content: contentOf(part),
    })),
  };
}

interface Part {
  readonly headers: readonly (readonly [string, string])[];
  readonly content: string;
}

/** Every byte is a character. */
function parsePart(text: string): Part {
  const end = text.indexOf('\r\n\r\n');
  const unfolded = text.slice(0, end).replace(/\r\n(?=[ \t])/g, '');
  const headers = unfolded.split('\r\n').map((line) => {
    const [, name = '', value = ''] = /^([!-9;-~]+):(.*)$/s.exec(line) ?? [];
    if (name === '') throw new Error(`${JSON.stringify(line)} is no header`);
    return [name.toLowerCase(), value.trim()] as const;
  });
  return { headers, content: text.slice(end + 4) };
}

const valueOf = ({ headers }: Part, name: string) => headers.find(([each]) => each === name)?.[1] ?? '';

function leavesOf(part: Part): Part[] {
  const type = valueOf(part, 'content-type');
  if (!type.startsWith('multipart/')) return [part];
  const boundary = `\r\n--${parameterOf(type, 'boundary')}`;
  const [parts = ''] = `\r\n${part.content}`.split(`${boundary}--`);
  return parts
    .split(`${boundary}\r\n`)
    .slice(1)
    .flatMap((each) => leavesOf(parsePart(each)));
}

function contentOf(part: Part): Buffer {
  const encoding = valueOf(part, 'content-transfer-encoding').toLowerCase();
  if (encoding === 'base64') return Buffer.from(part.content, 'base64');
  return Buffer.from(encoding === 'quoted-printable' ? unquote(part.content) : part.content, 'latin1');
}

const unquote = (text: string) =>
  text
    .replace(/[ \t]+(?=\r\n)/g, '')
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));

/** RFC 2047. Space between two encoded words is ignored. */
const decodeWords = (text: string): string =>
  text
    .replace(/(\?=)\s+(?==\?)/g, '$1')
    .replace(/(?:=\?utf-8\?[QB]\?[^?]*\?=)+/gi, (words) =>
      Buffer.concat([...words.matchAll(/=\?utf-8\?([QB])\?([^?]*)\?=/gi)].map(decodeWord)).toString(),
    );

const decodeWord = ([, encoding, text = '']: RegExpMatchArray): Buffer =>
  encoding?.toUpperCase() === 'B'
    ? Buffer.from(text, 'base64')
    : Buffer.from(unquote(text.replaceAll('_', ' ')), 'latin1');

/** RFC 2231: plain, quoted, or in numbered pieces that may be percent-encoded. */
function parameterOf(value: string, name: string): string {
  const pattern = new RegExp(`;\\s*${name}(?:\\*(\\d+))?(\\*)?=(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s]*))`, 'gi');
  const pieces = [...value.matchAll(pattern)].map(([, , star, quoted, plain = '']) =>
    star ? plain.replace(/^utf-8''/i, '') : (quoted?.replace(/\\(.)/g, '$1') ?? plain),
  );
  const isEncoded = new RegExp(`;\\s*${name}(?:\\*\\d+)?\\*=`, 'i').test(value);
  return isEncoded ? decodeURIComponent(pieces.join('')) : decodeWords(pieces.join(''));
}
