import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from '../../errors.ts';
import { makeDirectory, PART, putWhole, syncDirectory, writeDurably } from '../durable-file.ts';
import { ProviderError } from '../failure.ts';
import { compose } from './compose.ts';
import type { MailProvider } from './mail.ts';
import { aborted } from './sendable.ts';

const LEFT_BEHIND_MS = 3_600_000;

/** Writes every mail as `<Message-ID>.eml` to a directory, which is made when it is missing. The same mail again is the same file. */
export async function openFileMail(directory: string, from: string): Promise<MailProvider> {
  await makeDirectory(directory);
  await removeLeftBehind(directory);
  return {
    async send(mail, signal) {
      const file = path.join(directory, `${mail.messageId}.eml`);
      const bytes = compose(mail, from);
      if (signal.aborted) throw aborted(signal);
      await putDurably(file, bytes).catch((error: unknown) => {
        throw new ProviderError(
          'retryable',
          'MAIL_NOT_WRITTEN',
          `The mail cannot be written: ${reasonOf(error)}`,
          error,
        );
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

/** Another process may be writing the younger ones. */
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
