import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { onPath } from '../../stack/on-path.ts';
import { startBare } from '../bare.ts';
import type { Comparison, Figure, Plan } from '../figure.ts';
import { startLoader } from '../load/loader.ts';
import { CREATE_ALBUM } from '../requests.ts';
import { notesOf, seriesOf, takeTurns } from '../turns.ts';

const run = promisify(execFile);
const CONNECTIONS = 64;
const WRK = 'wrk';

export const loadGenerator: Figure = {
  name: 'load-generator',
  about: 'whether the load generator can be trusted: it against wrk, which is written in C',
  method: `The bare Fastify POST of *create-album* under \`wrk -t1 -c${CONNECTIONS}\`, where there is one on the PATH, and under our load
generator, which is autocannon in a process of its own. Where both are equally fast, the server is the limit and not the load.`,
  overHttp: false,
  run: async (plan) => (onPath(WRK, process.env.PATH) ? [await compare(plan)] : []),
};

async function compare(plan: Plan): Promise<Comparison> {
  const [bare, loader] = [await startBare(), startLoader(plan)];
  const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-bench-'));
  try {
    const script = path.join(directory, 'post.lua');
    await writeFile(
      script,
      `wrk.method="POST"; wrk.body='${CREATE_ALBUM.body}'; wrk.headers["content-type"]="application/json"`,
    );
    const load = { kind: 'http', connections: CONNECTIONS, ...CREATE_ALBUM } as const;
    const outcomes = await takeTurns(
      [
        { name: 'autocannon', run: async () => ({ ...(await loader.run({ ...load, url: bare.url })) }) },
        { name: WRK, run: async () => ({ perSecond: await wrk(`${bare.url}/albums`, script, plan) }) },
      ],
      plan,
    );
    const [ours, ...limits] = outcomes.map((outcome) => seriesOf(outcome, 'perSecond'));
    if (!ours) throw new Error('Nothing was measured.');
    const [cannon] = outcomes;
    const title = `bare Fastify POST, ${CONNECTIONS} connections`;
    return { title, unit: '/s', ours, limits, asked: [], notes: cannon ? notesOf([cannon]) : [] };
  } finally {
    await Promise.all([bare.stop(), loader.stop(), rm(directory, { recursive: true })]);
  }
}

async function wrk(url: string, script: string, { seconds, warmUpSeconds }: Plan): Promise<number> {
  const command = ['-t1', `-c${CONNECTIONS}`, '-s', script];
  await run(WRK, [...command, `-d${Math.ceil(warmUpSeconds)}s`, url]);
  const { stdout } = await run(WRK, [...command, `-d${Math.ceil(seconds)}s`, url]);
  const found = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  if (found === undefined) throw new Error(`wrk says nothing of requests a second: ${stdout}`);
  return Number(found);
}
