import { type Disarm, guard } from '../../../src/stack/guard.ts';

export { guard };

/** For a server process and the directory that is its own. */
export const guardProcess = (pid: number, directory: string | undefined): Disarm =>
  guard(`kill -9 ${pid}${directory === undefined ? '' : `; sleep 0.2; rm -rf '${directory}'`}`);
