import type { z } from 'zod';
import type { Stoppable } from '../../lifecycle.ts';
import type { ProviderDefinition, SettingsOf } from '../definition.ts';

export interface Mail {
  /** Without angle brackets. A mail that is sent again has the same one. */
  readonly messageId: string;
  /** A single address. */
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

/** Sends mail. */
export interface MailProvider extends Stoppable {
  /**
   * Resolves when the mail is sent for good. The text tells people where it went: `250 queued as 4F2`, or the path of a file. Rejects
   * with a ProviderError. After an abort the caller may not know whether the mail was sent.
   */
  send(mail: Mail, signal: AbortSignal): Promise<string>;
}

/** The settings that every mail provider has beside its own. */
interface MailSettings {
  readonly DATA_DIR: string;
  readonly NAMESPACE: string;
  readonly MAIL_FROM: string;
}

interface MailProviderDefinition<Name extends string, Shape extends z.ZodRawShape> extends ProviderDefinition<
  Name,
  Shape
> {
  /** Imports what the provider needs, so that a provider that is not enabled costs no start time. */
  open(config: SettingsOf<Shape> & MailSettings): Promise<MailProvider>;
}

/** Gives the definition back; it infers the types of its settings. */
export const defineMailProvider = <Name extends string, Shape extends z.ZodRawShape>(
  definition: MailProviderDefinition<Name, Shape>,
): MailProviderDefinition<Name, Shape> => definition;
