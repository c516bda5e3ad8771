import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, open, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { guard } from '../../stack/guard.ts';

/** A file system of its own, in memory, that a test can fill. */
export interface SmallDisk {
  readonly path: string;
  /** Takes all the remaining room. */
  fill(): Promise<void>;
  /** Frees it. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

type Command = readonly string[];

const run = promisify(execFile);

/** The prefix of a command for a user who may mount. */
const ways: readonly Command[] = [[], ['sudo', '--non-interactive']];
/** The prefix of a command for any user, who may then mount for its own process and children, where the kernel allows it. */
const namespace: Command = ['unshare', '--mount', '--map-current-user', '--keep-caps'];

/** Tried in a namespace of its own, which leaves nothing behind. */
function works(way: Command): boolean {
  const [command, ...args] = [...way, 'unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', tmpdir()];
  return spawnSync(command, args, { timeout: 5_000, stdio: 'ignore' }).status === 0;
}

/**
 * Without permission to mount, the test file runs once more in a namespace that has it. The suite is skipped, with the
 * reason in its name, where that is not possible either.
 */
export function describeWithSmallDisk(name: string, suite: (start: typeof startSmallDisk) => void): void {
  if (ways.some(works)) describe(name, () => suite(startSmallDisk));
  else if (works(namespace)) it(`${name}, in a private namespace`, runThisFileInNamespace, 600_000);
  else describe.skip(`${name} [skipped: mounting takes root, sudo or user namespaces]`, () => suite(startSmallDisk));
}

async function runThisFileInNamespace(): Promise<void> {
  const [command = '', ...args] = [...namespace, process.execPath, ...process.execArgv];
  const jest = path.resolve('node_modules/jest/bin/jest.js');
  await run(command, [...args, jest, expect.getState().testPath ?? '']);
}

async function startSmallDisk(megabytes: number): Promise<SmallDisk> {
  const way = ways.find(works) ?? [];
  const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-disk-'));
  const [command, ...args] = [...way, 'mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=777`, 'none', directory];
  await run(command, args);
  const unmount = [...way, `umount --lazy '${directory}'`].join(' ');
  const disarm = guard(`${unmount}; rmdir '${directory}'`);
  const ballast = path.join(directory, 'ballast');
  return {
    path: directory,
    fill: () => fill(ballast),
    clear: () => rm(ballast, { force: true }),
    async stop() {
      await run('sh', ['-c', unmount]);
      disarm();
      await rmdir(directory);
    },
  };
}

/** Blocks get smaller until not one more fits. */
async function fill(file: string): Promise<void> {
  const ballast = await open(file, 'a');
  try {
    for (const size of [2 ** 20, 2 ** 12]) while (await fits(ballast, size));
  } finally {
    await ballast.close();
  }
}

async function fits(file: Awaited<ReturnType<typeof open>>, size: number): Promise<boolean> {
  try {
    return (await file.write(Buffer.alloc(size))).bytesWritten === size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
