import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createOnce, inDraft, publish, sweepDrafts } from './drafts.ts';
import { ifMissing } from './errno.ts';
import type { Home } from './home.ts';
import { giveTo, runAs } from './users.ts';

export const SUPERUSER = 'openmusic';
/** The parent's environment is not passed on, because PGDATA, PGPORT and others would take effect. TZ saves initdb a long search. */
export const SERVER_ENV = { LC_ALL: 'C', TZ: 'UTC' };

/**
 * With the locale C, ILIKE does not fold accented or Cyrillic letters and the trigram index ignores them. macOS has UTF-8 only in
 * locales of countries.
 */
const LOCALE = [
  '--encoding=UTF8',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  `--locale=${process.platform === 'darwin' ? 'en_US.UTF-8' : 'C.UTF-8'}`,
];

/** The superuser's password, created together with the cluster. */
export async function passwordOf(home: Home): Promise<string> {
  const password = await readFile(home.passwordFile, 'utf8').catch(ifMissing);
  if (password !== undefined) return password.trim();
  if (existsSync(home.cluster)) {
    throw new Error(`${home.passwordFile} is missing: restore it, or move ${home.cluster} away to begin empty.`);
  }
  return (await createOnce(home.passwordFile, `${randomBytes(24).toString('base64url')}\n`)).trim();
}

/** Creates the cluster unless it exists, and makes it accessible to the server's user only. */
export async function ensureCluster(home: Home, native: string, password: string): Promise<void> {
  await sweepDrafts(home.place);
  if (!existsSync(home.cluster)) await createCluster(home, native, password);
  const { uid, mode } = await stat(home.cluster);
  if (home.user && uid !== home.user.uid) await giveTo(home.user, home.cluster);
  if ((mode & 0o777) !== 0o700) await chmod(home.cluster, 0o700);
}

async function createCluster(home: Home, native: string, password: string): Promise<void> {
  await inDraft(home.place, async (draft) => {
    const cluster = join(draft, 'cluster');
    const pwfile = join(draft, 'password');
    await mkdir(cluster, { mode: 0o700 });
    await writeFile(pwfile, password, { mode: 0o600 });
    await giveTo(home.user, draft);
    await initdb(home, native, ['-D', cluster, `--pwfile=${pwfile}`]);
    await publish(cluster, home.cluster);
  });
}

async function initdb(home: Home, native: string, where: string[]): Promise<void> {
  const args = [...where, ...LOCALE, '--auth=scram-sha-256', `--username=${SUPERUSER}`];
  const options = { ...runAs(home.user), cwd: '/', env: SERVER_ENV };
  try {
    await promisify(execFile)(join(native, 'bin', 'initdb'), args, options);
  } catch (cause) {
    throw new Error(`initdb cannot create a database in ${home.place}: ${lastLineOf(cause)}`, { cause });
  }
}

/** ENOENT for a program that exists means that its loader is missing: the binaries need glibc. */
function lastLineOf(failure: unknown): string {
  const { code, stderr, message } = failure as Error & { code?: unknown; stderr?: string };
  if (code === 'ENOENT') return 'these binaries do not run here (they need glibc); set PGHOST to a Postgres of yours.';
  return stderr ? stderr.trim().split('\n').slice(-3).join(' | ') : message;
}
