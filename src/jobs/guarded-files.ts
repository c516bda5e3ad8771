import { isStoreAway } from '../providers/files/failure.ts';
import type { ByteRange, Files, OpenFile } from '../providers/files/files.ts';
import type { Breakers } from './breakers.ts';

const never = new AbortController().signal;

const thrownAway = new WeakSet<Error>();

/** Whether it was thrown by a store of files that is away: the same error can come of another server. */
export const wereFilesAway = (error: unknown): boolean => Error.isError(error) && thrownAway.has(error);

function remember(error: unknown): void {
  if (Error.isError(error) && isStoreAway(error)) thrownAway.add(error);
}

/** Throws it on, known as of a store of files. */
export function remembered(error: unknown): never {
  remember(error);
  throw error;
}

/** Files behind a breaker: while their provider keeps failing nobody waits for it. */
export function guardedFiles(files: Files, breakers: Pick<Breakers, 'call'>, name: string): Files {
  const guarded = <T>(act: () => Promise<T>) => breakers.call(name, never, () => act().catch(remembered));
  return {
    ...files,
    put: (...args) => guarded(() => files.put(...args)),
    putFile: (...args) => guarded(() => files.putFile(...args)),
    open: (file) => guarded(async () => watched(await files.open(file))),
    remove: (file) => guarded(() => files.remove(file)),
  };
}

/** What breaks off while it is read. */
function watched(file: OpenFile | undefined): OpenFile | undefined {
  if (!file) return undefined;
  const read = async (range?: ByteRange) => (await file.read(range).catch(remembered)).once('error', remember);
  return { ...file, read };
}
