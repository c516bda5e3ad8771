import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Settings, startDistributed } from './distributed.ts';
import { type OpenMusicProcess, startProcess } from './processes.ts';

const entry = fileURLToPath(new URL('./faulty-main.ts', import.meta.url));

/** OpenMusic, one process of which will kill itself. */
export interface Doomed {
  readonly env: Settings;
  /** Of the API processes, one that is replaced included. */
  readonly urls: readonly string[];
  readonly died: OpenMusicProcess['ended'];
  /** Starts one that does not kill itself in its place, at the same address. Resolves when it is ready. */
  replace(): Promise<void>;
  stop(): Promise<void>;
}

/** The one process of the embedded shape; what stays is its data. */
export async function startDoomed(fault: string): Promise<Doomed> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-doomed-'));
  await chmod(dataDir, 0o755); // Postgres, which never runs as root, keeps its files in it too
  const env = { DATA_DIR: dataDir, PARTITIONS: '2' };
  const one = await startReplaceable(env, fault);
  return {
    ...one,
    env,
    urls: [one.url],
    async stop() {
      await one.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}

/** An API that dies beside one that lives and a projector; or the only projector, and an API that lives. */
export async function startDoomedAmongOthers(role: 'api' | 'projector', fault: string): Promise<Doomed> {
  const count = role === 'api' ? 1 : 0;
  const others = await startDistributed({ apis: count, projectors: count, env: { VERDICT_WAIT_SECONDS: '1' } });
  try {
    const [one, api] = await Promise.all([
      startReplaceable({ ...others.env, ROLES: role }, fault),
      others.apis[0] ?? others.startApi(),
    ]);
    return {
      ...one,
      env: others.env,
      urls: role === 'api' ? [one.url, api.url] : [api.url],
      async stop() {
        await one.stop();
        await others.stop();
      },
    };
  } catch (error) {
    await others.stop();
    throw error;
  }
}

async function startReplaceable(env: Settings, fault: string) {
  let running = await startProcess({ env: { ...env, FAULT: fault }, entry });
  const { url, ended } = running;
  return {
    url,
    died: ended,
    async replace() {
      running = await startProcess({ env, port: Number(new URL(url).port) });
    },
    stop: () => running.end('SIGTERM'),
  };
}
