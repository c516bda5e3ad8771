import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../../test/support/characters.ts';
import { parseMail } from '../../../test/support/smtp-mail.ts';
import { compose } from './compose.ts';
import type { Mail } from './mail.ts';

const FROM = 'openmusic@music.example';
const mail: Mail = { messageId: 'job-1@music.example', to: 'user@example.com', subject: 'Hi', body: 'Here it is.' };

const parsed = async (more: Partial<Mail>) => parseMail(await compose({ ...mail, ...more }, FROM));

/** Texts that header injections consist of, and other special ones. */
const nasty = fc.constantFrom(
  '\r\n',
  '\n',
  '\r',
  '\0',
  'Bcc: evil@example.com',
  '\r\n\r\n',
  '"',
  '\\',
  '=?utf-8?Q?',
  '?=',
  ';',
  '<',
  '>',
  ',',
  ':',
  ' ',
  '\t',
  '\u2028',
  '\u0085',
  '\ud800',
  '\udc00',
  '🎵',
  'é',
  "''",
  '%0d%0a',
  '*0*=',
  '.',
  '\r\n.\r\n',
  '--',
);
const text = fc
  .array(fc.oneof(nasty, fc.string({ unit: anyCharacter, maxLength: 40 })), { maxLength: 12 })
  .map((parts) => parts.join(''));

const ours = ['from', 'to', 'subject', 'message-id', 'auto-submitted', 'date', 'mime-version', 'content-type'];
const oneLine = (from: string) =>
  from
    .toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim();
const lines = (from: string) => from.toWellFormed().replace(/\r?\n|\r/g, '\n');

describe('a composed mail', () => {
  it('has the given subject, body and attachments', async () => {
    const content = Buffer.from([0, 1, 2, 255, 13, 10, 46, 13, 10]);
    const attachments = [{ name: 'Größe "1".json', mediaType: 'application/json', content }];
    const { headers, ...rest } = await parsed({ subject: 'Für Élise 🎵', body: 'Grüße,\nOpenMusic\n', attachments });
    expect(rest).toMatchObject({ subject: 'Für Élise 🎵', messageId: mail.messageId, attachments });
    expect(lines(rest.body)).toBe('Grüße,\nOpenMusic\n');
    expect(Object.fromEntries(headers)).toMatchObject({ from: FROM, to: mail.to, 'auto-submitted': 'auto-generated' });
  });

  it('is ASCII, in lines of the length that SMTP allows', async () => {
    const raw = await compose({ ...mail, subject: 'é'.repeat(300), body: `${'ü'.repeat(2_000)}\nx` }, FROM);
    expect(raw.toString('latin1')).toMatch(/^[\r\n\t -~]*$/);
    expect(raw.toString('latin1').replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    for (const line of raw.toString('latin1').split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
  });

  it('has the headers of OpenMusic and no other, one recipient and the given texts, for any texts', async () => {
    const content = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
    const attachments = fc.array(fc.record({ name: text, mediaType: text, content }), { maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(fc.record({ subject: text, body: text, attachments }), async (more) => {
        const { headers, ...rest } = await parsed(more);
        const names = headers.map(([name]) => name).filter((name) => name !== 'content-transfer-encoding');
        expect(names.toSorted()).toEqual(ours.toSorted());
        expect(Object.fromEntries(headers)).toMatchObject({
          from: FROM,
          to: mail.to,
          'message-id': `<${mail.messageId}>`,
        });
        expect(rest.subject).toBe(oneLine(more.subject));
        expect(lines(rest.body)).toBe(lines(more.body));
        expect(rest.attachments.map(({ name }) => name)).toEqual(
          more.attachments.map(({ name }) => oneLine(name).replaceAll('=?', '=_') || 'attachment'),
        );
        rest.attachments.forEach((each, index) =>
          expect(each.content.equals(more.attachments[index]!.content)).toBe(true),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('replaces an invalid media type by application/octet-stream', async () => {
    const types = ['text/csv', 'application/vnd.a+json', 'text/html; charset=x', 'a/b\r\nBcc: c@d', ''];
    const attachments = types.map((mediaType) => ({ name: 'a', mediaType, content: Buffer.from('x') }));
    const { attachments: got } = await parsed({ attachments });
    const none = 'application/octet-stream';
    expect(got.map(({ mediaType }) => mediaType)).toEqual(['text/csv', 'application/vnd.a+json', none, none, none]);
  });
});
