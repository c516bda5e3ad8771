import { rm } from 'node:fs/promises';
import type { Child } from '../../../stack/child.ts';
import { type Disarm, guard } from '../../../stack/guard.ts';
import type { NativeServer } from './types.ts';

/** A server that a test may break. `temporary` is the directory that is removed with it. */
export async function nativeServer(start: () => Promise<Child>, temporary: string | undefined): Promise<NativeServer> {
  const disarm = temporary === undefined ? undefined : removedWithUs(temporary);
  const clean = async () => {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    disarm?.();
  };
  const started = async () => {
    const child = await start();
    child.unref();
    return child;
  };
  let child = await started().catch(async (error: unknown) => {
    await clean();
    throw error;
  });
  const kill = async () => {
    child.send('SIGKILL');
    await child.ended;
  };
  const sent = (signal: NodeJS.Signals) => {
    child.send(signal);
    return Promise.resolve();
  };
  return {
    get pid() {
      return child.pid;
    },
    kill,
    stop: async () => {
      child.send('SIGCONT');
      await (temporary === undefined ? child.stop() : kill());
      await clean();
    },
    freeze: () => sent('SIGSTOP'),
    thaw: () => sent('SIGCONT'),
    restart: async () => {
      await kill();
      child = await started();
    },
  };
}

/** The server has a guard of its own, which needs time to end; otherwise it would continue to write. */
const removedWithUs = (directory: string): Disarm => guard(`sleep 1; rm -rf '${directory}'`);
