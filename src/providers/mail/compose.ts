import MailComposer from 'nodemailer/lib/mail-composer';
import { encodeWord } from 'nodemailer/lib/mime-funcs';
import type { Attachment, Mail } from './mail.ts';

/** Composes the mail as it goes over the wire: headers and MIME parts, all of them ASCII. `to` must be one address in ASCII. */
export function compose(mail: Mail, from: string): Promise<Buffer> {
  const { messageId, to, subject, body, attachments = [] } = mail;
  const composer = new MailComposer({
    from,
    to,
    messageId: `<${messageId}>`,
    headers: {
      subject: { prepared: true, foldLines: true, value: subjectOf(oneLine(subject)) },
      'auto-submitted': 'auto-generated', // without it, automatic replies to this mail come back
    },
    text: Buffer.from(body.toWellFormed().replace(/\r\n|\r|\n/g, '\r\n')),
    textEncoding: 'base64',
    attachments: attachments.map(attachmentOf),
    disableFileAccess: true,
    disableUrlAccess: true,
    newline: 'windows',
  });
  return composer.compile().build();
}

const attachmentOf = ({ name, mediaType, content }: Attachment) => ({
  filename: oneLine(name).replaceAll('=?', '=_') || 'attachment',
  contentType: MEDIA_TYPE.test(mediaType) ? mediaType : 'application/octet-stream',
  contentDisposition: 'attachment' as const,
  contentTransferEncoding: 'base64' as const,
  content,
});

const MEDIA_TYPE = /^[\w.+-]{1,127}\/[\w.+-]{1,127}$/;

/** MailComposer leaves a subject such as `=?utf-8?Q?…?=` as it is, which a reader would decode, and leaves out an empty one. */
const subjectOf = (text: string): string =>
  /^[ -~]{1,70}$/.test(text) && !text.includes('=?') ? text : encodeWord(text, 'B', 52);

/** Makes a space of characters that end a header or are invisible. */
const oneLine = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
