import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { ProviderError } from '../../src/providers/failure.ts';
import type { Mail } from '../../src/providers/mail/mail.ts';
import type { MailRegistry } from '../../src/providers/mail/providers.ts';
import { eventually } from '../support/observed.ts';
import { within } from '../support/servers/waiting.ts';

/** A provider, and the mails that its receiver got. */
export interface MailUnderTest {
  /** Opens it again, as the only enabled provider. */
  open(): Promise<MailRegistry>;
  received(): Promise<readonly ReceivedMail[]>;
  /** For a receiver that can hang; a file system cannot be made to. */
  readonly hanging?: {
    /** The receiver accepts mails and never confirms them. */
    begin(): Promise<void> | void;
    /** How many mails it keeps waiting. */
    held(): number;
    end(): Promise<void> | void;
  };
  stop(): Promise<void>;
}

export interface ReceivedMail extends Omit<Mail, 'attachments'> {
  readonly attachments: readonly { readonly name: string; readonly mediaType: string; readonly content: Buffer }[];
}

const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 31) % 256));

export const newMail = (more: Partial<Mail> = {}): Mail => ({
  messageId: `${randomUUID()}@music.example`,
  to: 'user+tag@example.com',
  subject: 'Für Élise — 🎵',
  body: 'Grüße,\nthis is your playlist.\n',
  attachments: [{ name: 'größe 1.json', mediaType: 'application/json', content: bytes }],
  ...more,
});

/** `sent`, or the reason of the failure. */
export const outcomeOf = (sending: Promise<string>): Promise<string> =>
  sending.then(
    () => 'sent',
    (error: unknown) => (error instanceof ProviderError ? `${error.kind} ${error.code}` : String(error)),
  );

/** What every mail provider promises. `start` runs once. */
export function mailContract(name: string, start: () => Promise<MailUnderTest>): void {
  describe(`${name} as a mail provider`, () => {
    let mail: MailUnderTest;
    let registry: MailRegistry;
    const patience = new AbortController().signal;
    beforeAll(async () => {
      mail = await start();
      registry = await mail.open();
    });
    afterAll(async () => {
      await registry.stop();
      await mail.stop();
    });
    const send = (some: Mail, signal = patience) => registry.send(registry.default, some, signal);
    const receivedOf = async ({ messageId }: Mail) =>
      (await mail.received()).filter((each) => each.messageId === messageId);

    it('delivers a mail with all its parts, and returns where to find it', async () => {
      const sent = newMail();
      expect(await send(sent)).toMatch(/\S/);
      const [got, ...more] = await receivedOf(sent);
      expect({ ...got, body: got?.body.replaceAll('\r\n', '\n') }).toEqual(sent);
      expect(more).toEqual([]);
    });

    it('delivers a mail without attachments', async () => {
      const sent = newMail({ attachments: undefined });
      await send(sent);
      expect(await receivedOf(sent)).toMatchObject([{ subject: sent.subject, attachments: [] }]);
    });

    it('delivers a repeated mail so that it can be recognised', async () => {
      const sent = newMail();
      await send(sent);
      await send(sent);
      const got = await receivedOf(sent);
      expect(got.length).toBeGreaterThan(0);
      expect(new Set(got.map(({ messageId }) => messageId))).toEqual(new Set([sent.messageId]));
    });

    it('delivers many mails at once', async () => {
      const sent = Array.from({ length: 50 }, (_, index) => newMail({ subject: `mail ${index}`, attachments: [] }));
      await Promise.all(sent.map((each) => send(each)));
      const got = new Map((await mail.received()).map(({ messageId, subject }) => [messageId, subject]));
      expect(sent.map(({ messageId }) => got.get(messageId))).toEqual(sent.map(({ subject }) => subject));
    });

    it('delivers to a domain in any script', async () => {
      const sent = newMail({ to: 'user@bücher.example' });
      await send(sent);
      expect(await receivedOf(sent)).toMatchObject([{ to: 'user@xn--bcher-kva.example' }]);
    });

    it.each([
      'a@b.example, c@d.example',
      '"x" <a@b.example>',
      'a@b.example\r\nBcc: c@d.example',
      'a@b.example\0',
      'g:a@b.example;',
      '',
    ])('never delivers to %j', async (to) => {
      const before = await mail.received();
      await expect(send(newMail({ to }))).rejects.toMatchObject({ kind: 'permanent', code: 'MAIL_ADDRESS' });
      expect(await mail.received()).toHaveLength(before.length);
    });

    it.each(['../../a@b', 'a@b>\r\nBcc: c@d', 'a', '', '.a@b', 'a/b@c'])(
      'rejects %j as a Message-ID',
      async (messageId) => {
        const before = await mail.received();
        await expect(send(newMail({ messageId }))).rejects.toMatchObject({
          kind: 'permanent',
          code: 'MAIL_MESSAGE_ID',
        });
        expect(await mail.received()).toHaveLength(before.length);
      },
    );

    it('writes one subject header for any subject text', async () => {
      const sent = newMail({ subject: 'a\r\nBcc: evil@example.com\r\n\r\nb' });
      await send(sent);
      expect(await receivedOf(sent)).toMatchObject([{ to: sent.to, body: expect.stringContaining('Grüße') }]);
    });

    it('sends nothing when it was aborted before', async () => {
      const sent = newMail();
      await expect(send(sent, AbortSignal.abort())).rejects.toMatchObject({ kind: 'retryable', code: 'MAIL_ABORTED' });
      expect(await receivedOf(sent)).toEqual([]);
    });

    it.each([0, 2])('stops at once when it is aborted during %d deliveries, and sends the next mail', async (held) => {
      if (!mail.hanging) return;
      await mail.hanging.begin();
      const aborting = new AbortController();
      const sending = Promise.allSettled([send(newMail(), aborting.signal), send(newMail(), aborting.signal)]);
      await eventually('mails are in transit', () => mail.hanging!.held() === held);
      aborting.abort();
      const failure = {
        status: 'rejected',
        reason: expect.objectContaining({ kind: 'retryable', code: 'MAIL_ABORTED' }),
      };
      expect(await within(2_000, 'aborting', sending)).toEqual([failure, failure]);
      await mail.hanging.end();
      await expect(send(newMail())).resolves.toMatch(/\S/);
    });

    it('stops deliveries in progress when it is stopped, and sends nothing afterwards', async () => {
      const other = await mail.open();
      await mail.hanging?.begin();
      const sending = other.send(other.default, newMail(), patience).catch((error: unknown) => error);
      await eventually('a mail is in transit', () => (mail.hanging?.held() ?? 1) === 1);
      await within(5_000, 'stopping', other.stop());
      if (mail.hanging) expect(await within(1_000, 'what is stopped', sending)).toMatchObject({ code: 'MAIL_STOPPED' });
      await sending;
      await mail.hanging?.end();
      await expect(other.send(other.default, newMail(), patience)).rejects.toMatchObject({ code: 'MAIL_STOPPED' });
      await other.stop();
    });
  });
}
