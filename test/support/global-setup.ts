import { dropTemplate, prepareTemplate } from './servers/database.ts';
import { findServers } from './servers/find.ts';
import { SERVERS_VARIABLE } from './servers/handover.ts';
import type { Servers } from './servers/types.ts';

declare global {
  /** What global-teardown has to undo; jest loads the two as separate modules of one process. */
  var stopTestServers: (() => Promise<void>) | undefined;
}

export default async function globalSetup(): Promise<void> {
  process.stdout.write('\n');
  const { stop, ...found } = await findServers((line) => process.stdout.write(`${line}\n`));
  try {
    const template = await prepareTemplate(found.postgres);
    const servers: Servers = { ...found, template };
    process.env[SERVERS_VARIABLE] = JSON.stringify(servers);
    globalThis.stopTestServers = async () => {
      // Servers of ours go with all that is in them.
      if (found.how.postgres === 'env') await dropTemplate(found.postgres, template);
      await stop();
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
