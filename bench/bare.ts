import type { BareServer } from './bare-server.ts';
import { startChild } from './processes.ts';

/** Fastify alone, in a process of its own. */
export async function startBare(options: BareServer = {}): Promise<{ url: string; stop(): Promise<void> }> {
  const child = startChild('bench/bare-server.ts');
  return { url: (await child.ask(options)) as string, stop: () => child.stop() };
}
