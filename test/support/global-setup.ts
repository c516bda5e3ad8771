import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { SERVERS_VARIABLE } from './servers/handover.ts';

declare global {
  /** What global-teardown must undo; jest loads the two as separate modules of one process. */
  var stopTestServers: (() => Promise<void>) | undefined;
}

export default async function globalSetup(): Promise<void> {
  process.stdout.write('\n');
  const host = fork(fileURLToPath(new URL('./servers/host.ts', import.meta.url)));
  const ended = once(host, 'exit').then(([code, signal]) => `${code ?? signal}`);
  const offered = once(host, 'message').then(([servers]) => JSON.stringify(servers));
  const failed = ended.then((how) => Promise.reject(new Error(`The servers of the tests ended with ${how}.`)));
  failed.catch(() => undefined);
  process.env[SERVERS_VARIABLE] = await Promise.race([offered, failed]);
  globalThis.stopTestServers = async () => {
    host.disconnect();
    const how = await ended;
    if (how !== '0') throw new Error(`The servers of the tests ended with ${how}.`);
  };
}
