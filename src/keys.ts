import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** A key that is made once and kept in the data directory, readable by its owner only. */
export async function keptKey(dataDir: string, name: string): Promise<string> {
  const file = path.join(dataDir, 'keys', name);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, randomBytes(48).toString('base64url'), { mode: 0o600, flush: true });
  await link(draft, file).catch(ignoreExisting); // whole or not at all, and only the first one
  await unlink(draft);
  return readFile(file, 'utf8');
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
