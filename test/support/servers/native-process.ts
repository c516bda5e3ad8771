import { rm } from 'node:fs/promises';
import type { Child } from '../../../src/stack/child.ts';
import { guardProcess } from './guard.ts';
import type { NativeServer } from './types.ts';

/** A server that a test may treat badly. `temporary` is the directory that goes with it. */
export async function nativeServer(start: () => Promise<Child>, temporary: string | undefined): Promise<NativeServer> {
  const started = async () => {
    const child = await start();
    child.unref();
    if (temporary !== undefined) void child.ended.then(guardProcess(child.pid, temporary));
    return child;
  };
  let child = await started();
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
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    },
    freeze: () => sent('SIGSTOP'),
    thaw: () => sent('SIGCONT'),
    restart: async () => {
      await kill();
      child = await started();
    },
  };
}
