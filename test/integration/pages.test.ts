import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { jpeg } from '../support/images.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { describeWithPrograms } from '../support/servers/index.ts';
import { type Step, stepsOf, valueAt } from '../support/shell-page.ts';

interface Answer {
  readonly headers: string;
  readonly body: unknown;
}

function taken({ name, from }: Extract<Step, { kind: 'take' }>, answer: Answer | undefined): string {
  if ('path' in from) return valueAt(answer?.body, from.path);
  const value = new RegExp(`^${from.header}: (.*?)\\r?$`, 'im').exec(answer?.headers ?? '')?.[1];
  if (value === undefined) throw new Error(`${name}: the answer has no header ${from.header}`);
  return value;
}

/** The page leaves out the password, which `npm run seed` has printed. */
function filled(line: string, printed: readonly string[]): string {
  const username = /"username":"(\w+)","password":"…"/.exec(line)?.[1];
  if (username === undefined) return line;
  const password = new RegExp(`${username} +password (\\S+)`).exec(printed.join('\n'))?.[1];
  return line.replace('…', password ?? `no password of ${username} was printed`);
}

describeWithPrograms(['bash', 'curl'], 'the commands of', () => {
  let directory: string;
  let server: OpenMusicProcess;
  let env: Record<string, string>;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'openmusic-pages-'));
    await chmod(directory, 0o755);
    await writeFile(path.join(directory, 'cover.jpg'), jpeg());
    server = await startProcess({ env: { DATA_DIR: path.join(directory, 'data') } });
    env = { DATA_DIR: path.join(directory, 'data'), PUBLIC_URL: server.url };
  }, 120_000);
  afterAll(async () => {
    await server.end('SIGTERM');
    await rm(directory, { recursive: true, force: true });
  });

  /** Runs the page from top to bottom, with variables from earlier steps. Returns what the commands printed. */
  async function follow(page: string): Promise<string[]> {
    const found: Record<string, string> = {};
    const printed: string[] = [];
    let answer: Answer | undefined;
    for (const step of stepsOf(await readFile(page, 'utf8'))) {
      if (step.kind === 'take') found[step.name] = taken(step, answer);
      else if (step.command.startsWith('curl')) answer = await curl(filled(step.command, printed), found, step.status);
      else printed.push(await command(step.command));
    }
    return printed;
  }

  async function curl(line: string, found: Record<string, string>, status?: number): Promise<Answer> {
    const here = line.replaceAll('http://localhost:5000', server.url);
    const script = `${here.replace(/ -i /, ' ')} -sS -D headers -o body -w '%{http_code}'`;
    const options = { cwd: directory, env: { PATH: process.env.PATH, ...found } };
    const { stdout } = await promisify(execFile)('bash', ['-euc', script], options);
    const [headers, text] = await Promise.all(
      ['headers', 'body'].map((name) => readFile(path.join(directory, name), 'utf8')),
    );
    const expected = status ?? (stdout.startsWith('2') ? Number(stdout) : 'one of success');
    expect({ line, text, status: Number(stdout) }).toEqual({ line, text, status: expected });
    return { headers: headers!, body: text!.startsWith('{') ? (JSON.parse(text!) as unknown) : undefined };
  }

  async function command(line: string): Promise<string> {
    const args = line.replace(/^npm run (openmusic -- )?/, '').split(' ');
    const { code, output } = await openmusic(args, env);
    expect({ line, code, output }).toMatchObject({ code: 0 });
    return output;
  }

  it.each(['docs/tutorial/first-steps.md', 'README.md', 'docs/how-to/coming-from.md'])(
    '%s work in order',
    async (page) => {
      await follow(page);
    },
  );

  it('README.md change nothing when sample data is loaded for the second time', async () => {
    const catalog = async () => (await fetch(`${server.url}/songs`)).text();
    const before = await catalog();
    const first = await command('npm run seed');
    expect(await command('npm run seed')).toBe(first);
    expect(await catalog()).toBe(before);
  });
});
