import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Every key by the name of its setting, and the file that holds it where it is not set. */
const KEY_FILES = {
  IDEMPOTENCY_HASH_KEY: 'idempotency-hash',
  ACCESS_TOKEN_KEY: 'access-token',
  REFRESH_TOKEN_KEY: 'refresh-token',
  LINK_KEY: 'link',
} as const;

export type KeyName = keyof typeof KEY_FILES;
export const KEY_NAMES = Object.keys(KEY_FILES) as KeyName[];

/** The keys that are set, and those in the data directory for the others. */
export async function keysOf(
  settings: Partial<Record<KeyName, string>>,
  dataDir: string,
): Promise<Record<KeyName, string>> {
  const found = KEY_NAMES.map(
    async (name) => [name, settings[name] ?? (await keptKey(dataDir, KEY_FILES[name]))] as const,
  );
  return Object.fromEntries(await Promise.all(found)) as Record<KeyName, string>;
}

/** A key that is generated once and stored in the data directory, readable by its owner only. */
async function keptKey(dataDir: string, name: string): Promise<string> {
  const file = path.join(dataDir, 'keys', name);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, randomBytes(48).toString('base64url'), { mode: 0o600, flush: true });
  await link(draft, file).catch(ignoreExisting); // complete or not at all, and only the first one
  await unlink(draft);
  return readFile(file, 'utf8');
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
