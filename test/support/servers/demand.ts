import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { reasonOf } from '../../../src/errors.ts';
import type { Started } from './kinds.ts';
import type { Demands } from './types.ts';

/** Starts a demanded server. */
type Starts = { readonly [Name in keyof Demands]: () => Promise<Started<Demands[Name]>> };

/**
 * Answers the demands of test files, which run in processes of their own. Each demand of a server that failed to start gets
 * the error.
 */
export async function answerDemands(starts: Starts): Promise<{ socketPath: string; stop(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'openmusic-tests-'));
  const socketPath = join(directory, 'servers');
  const started = startedOnce(starts);
  const listener = createServer(
    (asked, response) => void answer(response, () => started.get((asked.url ?? '').slice(1))),
  );
  listener.unref().listen(socketPath);
  await once(listener, 'listening');
  return {
    socketPath,
    async stop() {
      listener.close();
      listener.closeAllConnections();
      await started.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The address of a server that all test files share, once it has started. */
export async function demand<Name extends keyof Demands>(socketPath: string, name: Name): Promise<Demands[Name]> {
  const asked = request({ socketPath, path: `/${name}`, agent: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(body);
  return JSON.parse(body) as Demands[Name];
}

async function answer(response: ServerResponse, get: () => Promise<unknown>): Promise<void> {
  try {
    response.end(JSON.stringify(await get()));
  } catch (error) {
    response.writeHead(500).end(reasonOf(error));
  }
}

function startedOnce(starts: Starts) {
  const started = new Map<string, Promise<{ stop(): Promise<void> }>>();
  const isKnown = (name: string): name is keyof Demands => Object.hasOwn(starts, name);
  return {
    get(name: string) {
      if (!isKnown(name)) return Promise.reject(new Error(`There is no server called ${name}.`));
      const known = started.get(name);
      if (known !== undefined) return known;
      const starting = starts[name]();
      started.set(name, starting);
      return starting;
    },
    async stop() {
      for (const starting of [...started.values()].reverse()) {
        const server = await starting.catch(() => undefined);
        await server?.stop();
      }
    },
  };
}
