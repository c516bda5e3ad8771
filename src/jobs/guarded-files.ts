import { NEVER } from '../concurrency/sleep.ts';
import { isStoreAway } from '../providers/files/failure.ts';
import type { ByteRange, Files, OpenFile } from '../providers/files/files.ts';
import type { Breakers } from './breakers.ts';

/** Errors that an unavailable store of files has thrown. */
const outages = new WeakSet<Error>();

/** Whether an unavailable store of files has thrown it. The error alone does not say so, because another server can cause the same one. */
export const isFilesOutage = (error: unknown): boolean => Error.isError(error) && outages.has(error);

function mark(error: unknown): void {
  if (Error.isError(error) && isStoreAway(error)) outages.add(error);
}

/** Rethrows an error of a store of files, marked as such. */
export function markAndRethrow(error: unknown): never {
  mark(error);
  throw error;
}

/** Files behind a breaker, so that no job waits for a provider that keeps failing. */
export function guardedFiles(files: Files, breakers: Pick<Breakers, 'call'>, name: string): Files {
  const guarded = <T>(act: () => Promise<T>) => breakers.call(name, NEVER, () => act().catch(markAndRethrow));
  return {
    ...files,
    put: (...args) => guarded(() => files.put(...args)),
    putFile: (...args) => guarded(() => files.putFile(...args)),
    open: (file) => guarded(async () => withMarkedErrors(await files.open(file))),
    remove: (file) => guarded(() => files.remove(file)),
  };
}

/** Marks errors that occur while the file is read. */
function withMarkedErrors(file: OpenFile | undefined): OpenFile | undefined {
  if (!file) return undefined;
  const read = async (range?: ByteRange) => (await file.read(range).catch(markAndRethrow)).once('error', mark);
  return { ...file, read };
}
