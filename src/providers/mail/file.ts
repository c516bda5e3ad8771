import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from '../../errors.ts';
import { makeDirectory, PART, putWhole, syncDirectory, writeDurably } from '../durable-file.ts';
import { ProviderError } from '../failure.ts';
import { defineMailProvider, type MailProvider } from './mail.ts';
import { aborted } from './sendable.ts';

export const provider = defineMailProvider({
  name: 'file',
  about: 'writes mails to $DATA_DIR/mail',
  settings: {},
  open: ({ DATA_DIR, NAMESPACE, MAIL_FROM }) => openFileMail(path.resolve(DATA_DIR, 'mail', NAMESPACE), MAIL_FROM),
});

const LEFT_BEHIND_MS = 3_600_000;

/** Writes every mail as `<Message-ID>.eml` to a directory, and makes the directory. A mail that is sent again is the same file. */
async function openFileMail(directory: string, from: string): Promise<MailProvider> {
  const { compose } = await import('./compose.ts');
  await makeDirectory(directory);
  await removeLeftBehind(directory);
  return {
    async send(mail, signal) {
      const file = path.join(directory, `${mail.messageId}.eml`);
      const bytes = await compose(mail, from);
      if (signal.aborted) throw aborted(signal);
      await putDurably(file, bytes).catch((error: unknown) => {
        throw new ProviderError('again', 'MAIL_NOT_WRITTEN', `The mail cannot be written: ${reasonOf(error)}`, error);
      });
      return file;
    },
    stop: () => Promise.resolve(),
  };
}

async function putDurably(file: string, bytes: Buffer): Promise<void> {
  await putWhole(file, (part) => writeDurably(part, bytes));
  await syncDirectory(path.dirname(file));
}

/** Removes half-written files that a crash left. Another process may still be writing the younger ones. */
async function removeLeftBehind(directory: string): Promise<void> {
  const parts = (await readdir(directory)).filter((name) => name.endsWith(PART));
  for (const file of parts.map((name) => path.join(directory, name))) {
    const modifiedAt = await stat(file).then(
      ({ mtimeMs }) => mtimeMs,
      () => Infinity,
    );
    if (Date.now() - modifiedAt > LEFT_BEHIND_MS) await rm(file, { force: true });
  }
}
