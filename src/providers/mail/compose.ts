import { buildHeaderValue, encodeWord } from 'nodemailer/lib/mime-funcs';
import type { Attachment, Mail } from './mail.ts';

/**
 * The mail as it goes over the wire: headers and MIME parts. `to` must be one address in ASCII. Nodemailer's own composer
 * builds a tree of streams for each mail, which costs more than sending it: 0.9 ms of CPU of 1.5.
 */
export function compose(mail: Mail, from: string): Buffer {
  const { attachments = [] } = mail;
  const headers = [
    `From: ${from}`,
    `To: ${mail.to}`,
    `Subject: ${word(oneLine(mail.subject))}`,
    `Message-ID: <${mail.messageId}>`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
    'Auto-Submitted: auto-generated', // or holiday notes come back
  ].join(END);
  const text = textPart(mail.body);
  if (attachments.length === 0) return Buffer.from(headers + END + text);
  const parts = [text, ...attachments.map(attachedPart)].map((part) => `--${BOUNDARY}${END}${part}`);
  const type = `Content-Type: multipart/mixed; boundary="${BOUNDARY}"`;
  return Buffer.from([headers, type, '', ...parts, `--${BOUNDARY}--`, ''].join(END));
}

const END = '\r\n';
/** All content is in base64, where these characters do not occur. */
const BOUNDARY = '=_openmusic_=';

const textPart = (text: string): string =>
  [
    'Content-Type: text/plain; charset=utf-8',
    ...contentOf(Buffer.from(text.toWellFormed().replace(/\r\n|\r|\n/g, END))),
  ].join(END);

const attachedPart = ({ name, mediaType, content }: Attachment): string =>
  [
    `Content-Type: ${MEDIA_TYPE.test(mediaType) ? mediaType : 'application/octet-stream'}`,
    `Content-Disposition: ${dispositionOf(oneLine(name).replaceAll('=?', '=_') || 'attachment')}`,
    ...contentOf(content),
  ].join(END);

const MEDIA_TYPE = /^[\w.+-]{1,127}\/[\w.+-]{1,127}$/;

const contentOf = (bytes: Buffer): string[] => [
  'Content-Transfer-Encoding: base64',
  '',
  bytes.toString('base64').replace(/.{76}/g, `$&${END}`),
];

const dispositionOf = (filename: string): string =>
  buildHeaderValue({ value: 'attachment', params: { filename } }).replaceAll('; ', `;${END} `);

/** As it stands where it is short and can be taken for nothing else, otherwise in encoded words, a line each. */
const word = (text: string): string =>
  /^[ -~]{0,70}$/.test(text) && !text.includes('=?')
    ? text
    : encodeWord(text, 'B', 52).replaceAll('?= =?', `?=${END} =?`);

/** What would end a header, or be shown as nothing, becomes a space. */
const oneLine = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
