import type { Stoppable } from '../../lifecycle.ts';

export interface Mail {
  /** Without angle brackets; the same whenever the same mail is sent again. */
  readonly messageId: string;
  /** One address. */
  readonly to: string;
  readonly subject: string;
  /** Plain text. */
  readonly body: string;
  readonly attachments?: readonly Attachment[];
}

export interface Attachment {
  readonly name: string;
  readonly mediaType: string;
  readonly content: Buffer;
}

/** Something that sends mail. Adding one means one file, and one line in the registry. */
export interface MailProvider extends Stoppable {
  /**
   * When it resolves the mail is on its way for good; the text says where to, for people: `250 queued as 4F2`, or a file. It rejects with a
   * ProviderError. Whoever aborts may not know whether it was sent.
   */
  send(mail: Mail, signal: AbortSignal): Promise<string>;
}
