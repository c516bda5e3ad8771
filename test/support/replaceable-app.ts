import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Settings, startDistributed } from './distributed.ts';
import { eventually } from './observed.ts';
import { type OpenMusicProcess, startProcess } from './processes.ts';
import { type Recorder, startRecorder } from './recorder.ts';
import { openMusicAnswers } from '../../stack/answers.ts';
import type { Stack } from './shared-stack.ts';

const entry = fileURLToPath(new URL('./faulty-main.ts', import.meta.url));

export type Role = 'api' | 'projector';

/** OpenMusic with a process that kills itself on request. */
export interface ReplaceableApp extends Stack {
  readonly recorder: Recorder;
  /** The current or last process with that role. */
  process(role: Role): OpenMusicProcess;
  /** Starts a replacement of a dead process at the same address. Resolves when it is ready. */
  replace(role: Role): Promise<void>;
}

/** The process of the embedded shape; its data stay. */
export async function startReplaceableApp(): Promise<ReplaceableApp> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-doomed-'));
  await chmod(dataDir, 0o755); // Postgres, which never runs as root, keeps its files in it too
  const env = { DATA_DIR: dataDir, PARTITIONS: '2' };
  const one = await startReplaceable(env);
  const stop = async () => {
    await one.stop();
    await rm(dataDir, { recursive: true });
  };
  return doomed({ env, urls: [one.url], of: () => one, stop });
}

/** An API and the only projector, each of which can die, and another API that stays alive. */
export async function startReplaceableDistributed(): Promise<ReplaceableApp> {
  const others = await startDistributed({ apis: 0, projectors: 0, env: { VERDICT_WAIT_SECONDS: '1' } });
  const { env } = others;
  try {
    const starting = (role: Role) => startReplaceable({ ...env, ROLES: role });
    const [api, projector, other] = await Promise.all([starting('api'), starting('projector'), others.startApi()]);
    const stop = async () => {
      await Promise.all([api.stop(), projector.stop()]);
      await others.stop();
    };
    return doomed({ env, urls: [api.url, other.url], of: (role) => (role === 'api' ? api : projector), stop });
  } catch (error) {
    await others.stop();
    throw error;
  }
}

type Replaceable = Awaited<ReturnType<typeof startReplaceable>>;

interface Parts {
  readonly env: Settings;
  /** The URLs of the API processes. */
  readonly urls: readonly string[];
  readonly of: (role: Role) => Replaceable;
  readonly stop: () => Promise<void>;
}

function doomed({ env, urls, of, stop }: Parts): ReplaceableApp {
  const recorder = startRecorder({ env, urls });
  return {
    recorder,
    stop,
    process: (role) => of(role).process(),
    replace: (role) => of(role).replace(),
    async mustBeHealthy() {
      const all = [...urls, of('projector').url];
      for (const url of all) await eventually(`${url} is ready`, () => openMusicAnswers(url));
    },
    repair: () => Promise.resolve(),
    get isBroken() {
      return recorder.isBehind;
    },
  };
}

async function startReplaceable(env: Settings) {
  let running = await startProcess({ env, entry });
  const { url } = running;
  return {
    url,
    process: () => running,
    async replace() {
      running = await startProcess({ env, entry, port: Number(new URL(url).port) });
    },
    stop: () => running.end('SIGTERM'),
  };
}
