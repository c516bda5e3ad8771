import { SERVERS_VARIABLE } from './servers/handover.ts';
import { offerServers } from './servers/on-demand.ts';

declare global {
  /** What global-teardown has to undo; jest loads the two as separate modules of one process. */
  var stopTestServers: (() => Promise<void>) | undefined;
}

export default async function globalSetup(): Promise<void> {
  process.stdout.write('\n');
  const { servers, stop } = await offerServers((line) => process.stdout.write(`${line}\n`));
  process.env[SERVERS_VARIABLE] = JSON.stringify(servers);
  globalThis.stopTestServers = stop;
}
