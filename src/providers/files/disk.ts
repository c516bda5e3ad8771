import { randomBytes } from 'node:crypto';
import { constants, createReadStream, createWriteStream } from 'node:fs';
import { access, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Files, ListedFile, OpenFile } from './files.ts';
import { isName, mustBeName, PART } from './names.ts';

/** Files in a directory, which is made when it is missing. */
export async function openDiskFiles(directory: string): Promise<Files> {
  const made = await mkdir(directory, { recursive: true });
  if (made !== undefined) await syncDirectories(path.dirname(directory), path.dirname(made));
  const pathOf = (name: string) => path.join(directory, mustBeName(name));

  async function* list(prefix: string): AsyncGenerator<ListedFile> {
    for await (const entry of await opendir(directory, { recursive: true })) {
      const file = path.join(entry.parentPath, entry.name);
      const name = path.relative(directory, file).split(path.sep).join('/');
      if (!entry.isFile() || !name.startsWith(prefix) || !isName(name)) continue;
      const modifiedAt = await stat(file).then(({ mtimeMs }) => mtimeMs, nothingIfMissing);
      if (modifiedAt !== undefined) yield { name, modifiedAt };
    }
  }

  /** Lets `move` make the file, and what it is called durable. */
  async function keep(name: string, move: (file: string) => Promise<void>): Promise<void> {
    const file = pathOf(name);
    await mkdir(path.dirname(file), { recursive: true });
    await move(file);
    await syncDirectories(path.dirname(file), directory);
  }

  return {
    put: (name, bytes) => keep(name, (file) => putWhole(file, (part) => writeDurably(part, bytes))),
    async putFile(name, from) {
      await keep(name, (file) => moveDurably(from, file));
      await rm(from, { force: true });
    },
    open: async (name) => openFile(pathOf(name)),
    list,
    remove: async (name) => rm(pathOf(name), { force: true }),
    check: () => access(directory, constants.W_OK),
    stop: () => Promise.resolve(),
  };
}

/** Renames what was written. Every part has a name of its own: no other attempt is in the way, whether dead or alive. */
async function putWhole(file: string, write: (part: string) => Promise<void>): Promise<void> {
  const part = `${file}.${randomBytes(6).toString('hex')}${PART}`;
  try {
    await write(part);
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
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

async function moveDurably(from: string, file: string): Promise<void> {
  await sync(from);
  try {
    await rename(from, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await putWhole(file, (part) => copyDurably(from, part)); // from another file system
  }
}

const copyDurably = (from: string, to: string) =>
  pipeline(createReadStream(from), createWriteStream(to, { flags: 'wx', flush: true }));

async function sync(file: string): Promise<void> {
  const handle = await open(file);
  await handle.sync().finally(() => handle.close());
}

/** The innermost and all it lies in up to the outermost: until then a crash of the machine can take new names back. */
async function syncDirectories(innermost: string, outermost: string): Promise<void> {
  for (let each = innermost; ; each = path.dirname(each)) {
    await sync(each);
    if (each === outermost) return;
  }
}

async function openFile(file: string): Promise<OpenFile | undefined> {
  const handle = await open(file).catch(nothingIfMissing);
  if (!handle) return undefined;
  const { size } = await handle.stat();
  return {
    size,
    read: (range) => Promise.resolve(handle.createReadStream(range)), // which closes the file
    close: () => handle.close(),
  };
}

function nothingIfMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
