import { constants } from 'node:fs';
import { access, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Files, ListedFile, OpenFile } from './files.ts';
import { isName, mustBeName } from './names.ts';

/** What is not yet whole; a crash can leave it behind. */
const PART = '.part';

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

  return {
    async put(name, bytes) {
      const file = pathOf(name);
      await mkdir(path.dirname(file), { recursive: true });
      try {
        await writeDurably(file + PART, bytes);
        await rename(file + PART, file);
      } catch (error) {
        await rm(file + PART, { force: true });
        throw error;
      }
      await syncDirectories(path.dirname(file), directory);
    },
    open: async (name) => openFile(pathOf(name)),
    list,
    remove: async (name) => rm(pathOf(name), { force: true }),
    check: () => access(directory, constants.W_OK),
    stop: () => Promise.resolve(),
  };
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
