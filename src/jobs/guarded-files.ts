import type { Files } from '../providers/files/files.ts';
import type { Breakers } from './breakers.ts';

const never = new AbortController().signal;

/** Files behind a breaker: while their provider keeps failing nobody waits for it. */
export function guardedFiles(files: Files, breakers: Pick<Breakers, 'call'>, name: string): Files {
  const guarded = <T>(act: () => Promise<T>) => breakers.call(name, never, act);
  return {
    ...files,
    put: (...args) => guarded(() => files.put(...args)),
    putFile: (...args) => guarded(() => files.putFile(...args)),
    open: (file) => guarded(() => files.open(file)),
    remove: (file) => guarded(() => files.remove(file)),
  };
}
