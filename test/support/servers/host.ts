import { reasonOf } from '../../../src/errors.ts';
import { offerServers } from './on-demand.ts';

/**
 * The process that starts the servers of a test run. It sends its offer to its parent, and stops them all when the parent
 * disconnects or ends. Jest runs a single file in its own process, where the connections of these servers would count as
 * left open by the file.
 */
async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  const disconnected = new Promise((resolve) => process.once('disconnect', resolve));
  const { servers, stop } = await offerServers((line) => process.stdout.write(`${line}\n`));
  process.send?.(servers);
  await disconnected;
  await stop();
}

main().catch((error: unknown) => {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exit(1);
});
