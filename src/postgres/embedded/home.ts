import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, realpath, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createOnce } from './drafts.ts';
import { canReach, type SystemUser, userFor } from './users.ts';

/** The files of one embedded server, and the user that runs it. */
export interface Home {
  readonly dataDir: string;
  /** The directory that holds the cluster: `dataDir`, or a directory that the server's user can enter. */
  readonly place: string;
  readonly cluster: string;
  readonly logFile: string;
  readonly passwordFile: string;
  readonly user: SystemUser | undefined;
}

const OTHER_PLACES = '/var/lib';

export async function openHome(dataDir: string, log: (line: string) => void): Promise<Home> {
  await mkdir(dataDir, { recursive: true });
  const real = await realpath(dataDir);
  const place = await placeOf(real, log);
  const cluster = join(place, 'postgres');
  return {
    dataDir: real,
    place,
    cluster,
    logFile: join(real, 'postgres.log'),
    passwordFile: join(real, 'postgres-password'),
    user: await userFor(cluster),
  };
}

async function placeOf(dataDir: string, log: (line: string) => void): Promise<string> {
  const pointer = join(dataDir, 'postgres-location');
  if (existsSync(pointer)) return await follow(pointer, log);
  const cluster = join(dataDir, 'postgres');
  const user = await userFor(cluster);
  if (!user || (await canReach(user, dataDir))) return dataDir;
  if (existsSync(cluster)) {
    throw new Error(
      `${cluster} belongs to ${user.name}, who cannot enter ${dataDir}: chmod a+x the directories above it, or move it.`,
    );
  }
  return await settleElsewhere(dataDir, pointer, user, log);
}

/** Rejects when the directory is gone, because an empty database in place of a lost one would look like success. */
async function follow(pointer: string, log: (line: string) => void): Promise<string> {
  const place = (await readFile(pointer, 'utf8')).trim();
  if (!existsSync(place)) {
    throw new Error(
      `${pointer} says the database is in ${place}, which is gone: restore it, or delete ${pointer} to begin empty.`,
    );
  }
  log(`the database is in ${place}`);
  return place;
}

/** Not in `/var/tmp`, where some systems delete files that are a month old. */
async function settleElsewhere(
  dataDir: string,
  pointer: string,
  user: SystemUser,
  log: (line: string) => void,
): Promise<string> {
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 8);
  const place = join(OTHER_PLACES, `openmusic-${hash}-${randomBytes(2).toString('hex')}`);
  try {
    await mkdir(OTHER_PLACES, { recursive: true });
    await mkdir(place);
    await chmod(place, 0o711); // the umask may have removed these permissions
  } catch (cause) {
    throw new Error(
      `${user.name} cannot enter ${dataDir} and ${place} cannot be created: set DATA_DIR to a directory that all users can enter.`,
      { cause },
    );
  }
  const chosen = (await createOnce(pointer, `${place}\n`)).trim();
  if (chosen !== place) await rmdir(place);
  log(`${user.name}, who runs Postgres, cannot enter ${dataDir}: the database is stored in ${chosen}`);
  return chosen;
}
