import type { Stats } from 'node:fs';
import { chown, lchown, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The user that runs Postgres when this process is root, because Postgres refuses to run as root. */
export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const READ = 4;
const ENTER = 1;

/** The user for the server of `cluster`: its owner, or else `postgres` or `nobody`. Undefined: the user of this process. */
export async function userFor(cluster: string): Promise<SystemUser | undefined> {
  const owner = await stat(cluster).catch(() => undefined);
  if (process.getuid?.() !== 0) {
    refuseForeign(cluster, owner);
    return undefined;
  }
  const users = await systemUsers();
  if (owner && owner.uid !== 0)
    return users.find(({ uid }) => uid === owner.uid) ?? { ...idsOf(owner), name: `uid ${owner.uid}` };
  const user = ['postgres', '_postgres', 'nobody'].map((name) => users.find((one) => one.name === name)).find(Boolean);
  if (!user)
    throw new Error(
      'Postgres does not run as root and there is no user postgres or nobody: add one, or start as another user.',
    );
  return user;
}

/** Options of `spawn` to run as that user. */
export const runAs = (user: SystemUser | undefined) => (user ? { uid: user.uid, gid: user.gid } : {});

/** Whether the user can reach `path` and read it (enter it, if it is a directory). */
export async function canReach(user: SystemUser, path: string): Promise<boolean> {
  const real = await realpath(path);
  const target = await stat(real);
  const wanted = target.isDirectory() ? ENTER : READ;
  return allows(target, user, wanted) && (real === '/' || (await canEnter(user, dirname(real))));
}

/** Makes the user the owner of a whole tree. */
export async function giveTo(user: SystemUser | undefined, path: string): Promise<void> {
  if (!user) return;
  await chown(path, user.uid, user.gid);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    await (entry.isDirectory() ? giveTo(user, inner) : lchown(inner, user.uid, user.gid));
  }
}

async function canEnter(user: SystemUser, directory: string): Promise<boolean> {
  if (!allows(await stat(directory), user, ENTER)) return false;
  return directory === '/' || canEnter(user, dirname(directory));
}

function allows(target: Stats, user: SystemUser, bits: number): boolean {
  const shift = target.uid === user.uid ? 6 : target.gid === user.gid ? 3 : 0;
  return ((target.mode >> shift) & bits) === bits;
}

function refuseForeign(cluster: string, owner: Stats | undefined): void {
  if (!owner || owner.uid === process.getuid?.()) return;
  throw new Error(
    `${cluster} belongs to another user (uid ${owner.uid}): start as that user or as root, or set another DATA_DIR.`,
  );
}

const idsOf = ({ uid, gid }: Stats) => ({ uid, gid });

/** macOS gives `nobody` the uid -2. */
async function systemUsers(): Promise<SystemUser[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  return lines.flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return name && !name.startsWith('#') && uid && gid
      ? [{ name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }]
      : [];
  });
}
