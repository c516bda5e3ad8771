import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { keepPrivate } from './private-data.ts';

let top: string;
let data: string;
let umask: number;
beforeEach(async () => {
  umask = process.umask(0o022);
  top = await mkdtemp(path.join(tmpdir(), 'openmusic-private-'));
  data = path.join(top, 'above', 'data');
});
afterEach(async () => {
  process.umask(umask);
  await rm(top, { recursive: true });
});

const at = (...parts: string[]) => path.join(data, ...parts);
const modeOf = async (place: string) => ((await stat(place)).mode & 0o777).toString(8);
const isRoot = process.getuid?.() === 0;
const reports: string[] = [];
const keep = (leadsToPostgres = [data]) =>
  keepPrivate(data, { leadsToPostgres, report: (message) => reports.push(message) });

async function leaveOpen(...parts: string[]): Promise<string> {
  const file = at(...parts);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, 'x');
  return file;
}

describe('the data directory', () => {
  it('is created for its owner; the directories above keep their permissions', async () => {
    await keep();
    expect(await modeOf(data)).toBe(isRoot ? '711' : '700');
    expect(await modeOf(path.dirname(data))).toBe('755');
    expect(reports).toEqual([]);
  });

  it('is repaired with everything that an earlier version left open', async () => {
    const files = [await leaveOpen('keys', 'link'), await leaveOpen('files', 'openmusic', 'covers', 'a.png')];
    const program = await leaveOpen('run');
    await chmod(program, 0o755);
    await keep();
    for (const file of files) expect(await modeOf(file)).toBe('600');
    expect(await modeOf(program)).toBe('700');
    for (const directory of ['keys', 'files', 'files/openmusic/covers'])
      expect(await modeOf(at(directory))).toBe('700');
  });

  it('is not searched below a directory that others cannot enter, unless it was opened since', async () => {
    const file = await leaveOpen('files', 'a.png');
    await keep();
    await chmod(file, 0o644);
    await keep();
    expect(await modeOf(file)).toBe('644');
    await chmod(at('files'), 0o755);
    await chmod(data, 0o755);
    await keep();
    expect([await modeOf(file), await modeOf(at('files'))]).toEqual(['600', '700']);
  });

  it('is not created where Postgres is elsewhere', async () => {
    await keep([]);
    await expect(stat(data)).rejects.toThrow('ENOENT');
  });

  it('keeps the targets of links, and the files of Postgres, as they are', async () => {
    const [outside, program] = [path.join(top, 'outside'), await leaveOpen('postgres-binaries-18', 'postgres')];
    await writeFile(outside, '', { mode: 0o644 });
    await symlink(outside, at('link'));
    await keep();
    expect([await modeOf(outside), await modeOf(program)]).toEqual(['644', '644']);
  });
});

it('files created afterwards are accessible to their owner only', async () => {
  await keep();
  expect(await modeOf(await leaveOpen('new', 'file'))).toBe('600');
  expect(await modeOf(at('new'))).toBe('700');
});

(isRoot ? it : it.skip)('directories on the way to another user’s data can be passed, and not listed', async () => {
  const { chown } = await import('node:fs/promises');
  await leaveOpen('stack', 'postgres', 'PG_VERSION');
  await chown(at('stack', 'postgres'), 65_534, 65_534);
  await leaveOpen('files', 'a');
  await keep([]);
  expect([await modeOf(data), await modeOf(at('stack')), await modeOf(at('files'))]).toEqual(['711', '711', '700']);
});
