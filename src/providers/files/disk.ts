import { constants, createReadStream, createWriteStream } from 'node:fs';
import { access, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { makeDirectory, putWhole, sync, syncDirectories, writeDurably } from '../durable-file.ts';
import { defineFilesProvider, type Files, type ListedFile, type OpenFile } from './files.ts';
import { isName, mustBeName } from './names.ts';

export const provider = defineFilesProvider({
  name: 'disk',
  about: 'in $DATA_DIR/files',
  settings: {},
  open: ({ DATA_DIR, NAMESPACE }) => openDiskFiles(path.join(DATA_DIR, 'files', NAMESPACE)),
});

/** Keeps files in a directory, and makes the directory. */
export async function openDiskFiles(place: string): Promise<Files> {
  const directory = path.resolve(place); // syncDirectories compares paths
  await makeDirectory(directory);
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

  /** Lets `move` make the file, and makes its name durable. */
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

async function moveDurably(from: string, file: string): Promise<void> {
  await sync(from);
  try {
    await rename(from, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await putWhole(file, (part) => copyDurably(from, part)); // the file is on another file system
  }
}

const copyDurably = (from: string, to: string) =>
  pipeline(createReadStream(from), createWriteStream(to, { flags: 'wx', flush: true }));

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
