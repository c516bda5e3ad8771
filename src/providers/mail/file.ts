import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from '../../errors.ts';
import { ProviderError } from '../failure.ts';
import { compose } from './compose.ts';
import type { MailProvider } from './mail.ts';
import { aborted } from './sendable.ts';

/** What is not yet whole; a crash can leave it behind. */
const PART = '.part';
const LEFT_BEHIND_MS = 3_600_000;

/** Writes every mail as `<Message-ID>.eml` to a directory, which is made when it is missing. The same mail again is the same file. */
export async function openFileMail(directory: string, from: string): Promise<MailProvider> {
  const made = await mkdir(directory, { recursive: true });
  if (made !== undefined) await syncDirectories(directory, path.dirname(made));
  await removeLeftBehind(directory);
  return {
    async send(mail, signal) {
      const file = path.join(directory, `${mail.messageId}.eml`);
      const bytes = compose(mail, from);
      if (signal.aborted) throw aborted(signal);
      await putDurably(file, bytes).catch((error: unknown) => {
        throw new ProviderError('again', 'MAIL_NOT_WRITTEN', `The mail cannot be written: ${reasonOf(error)}`, error);
      });
      return file;
    },
    stop: () => Promise.resolve(),
  };
}

/** The file appears whole or not at all. Of two that write it at once the later one wins. */
async function putDurably(file: string, bytes: Buffer): Promise<void> {
  const part = `${file}.${randomUUID()}${PART}`;
  try {
    await writeDurably(part, bytes);
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await syncDirectories(path.dirname(file), path.dirname(file));
}

async function writeDurably(file: string, bytes: Buffer): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** The innermost and all it lies in up to the outermost: until then a crash of the machine can take new names back. */
async function syncDirectories(innermost: string, outermost: string): Promise<void> {
  for (let each = innermost; ; each = path.dirname(each)) {
    const handle = await open(each);
    await handle.sync().finally(() => handle.close());
    if (each === outermost) return;
  }
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
