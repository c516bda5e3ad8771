import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import avro from 'avsc';
import type { SchemaVersion } from '../../src/events/codec.ts';
import { runSchemas } from './schemas.ts';

const repository = path.join(import.meta.dirname, '../..');
const folder = mkdtempSync(path.join(tmpdir(), 'openmusic-schemas-'));
const template = path.join(folder, 'template');
let copies = 0;
let root = template;

const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
    cwd: template,
    stdio: 'ignore',
  });
const text = (file: string) => readFileSync(path.join(root, file), 'utf8');
const original = (file: string) => readFileSync(path.join(repository, file), 'utf8');
const lines = () => JSON.parse(text('schemas/lock.json')) as SchemaVersion[];
const golden = () =>
  (JSON.parse(text('schemas/golden.json')) as { schemas: (SchemaVersion & { payload: object; value: string })[] })
    .schemas;
const highestId = (JSON.parse(original('schemas/lock.json')) as SchemaVersion[]).length;

/** The files that the command writes, committed. */
beforeAll(() => {
  for (const file of ['schemas', 'frozen.sha256', '.prettierrc.json']) {
    cpSync(path.join(repository, file), path.join(template, file), { recursive: true });
  }
  git('init', '-q');
  git('add', '.');
  git('commit', '-q', '-m', 'all');
});
beforeEach(() => {
  root = path.join(folder, String(++copies));
  cpSync(template, root, { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the unit tests of codec and frozen files demand of the newest schema. */
function expectConsistent(file: string, id: number) {
  const schema = JSON.parse(text(file)) as avro.Schema;
  const line = golden().at(-1)!;
  expect(line).toMatchObject({ ...lines().at(-1)!, id });
  const bytes = Buffer.from(line.value, 'hex');
  expect(bytes.readUInt32BE(1)).toBe(id);
  expect(avro.Type.forSchema(schema).fromBuffer(bytes.subarray(5))).toEqual(line.payload);
  expect(text('frozen.sha256')).toContain(`${hash('sha256', readFileSync(path.join(root, file)))}  ${file}\n`);
}

describe('npm run schemas -- add', () => {
  it('writes the schema of a new event under the next id, with lock entry, golden bytes and checksum', async () => {
    const printed = await runSchemas(root, ['add', 'SongFeatured']);
    expect(lines().at(-1)).toEqual({ id: highestId + 1, subject: 'openmusic.SongFeatured', version: 1 });
    expectConsistent('schemas/SongFeatured.v1.avsc', highestId + 1);
    expect(golden().at(-1)!.payload).toEqual({ songId: expect.stringMatching(/^song-/) });
    expect(printed).toContain('npm run schemas -- update SongFeatured');
  });

  it('writes the next version of an event that is there, as a copy of the last one', async () => {
    const printed = await runSchemas(root, ['add', 'AlbumCreated']);
    expect(lines().at(-1)).toEqual({ id: highestId + 1, subject: 'openmusic.AlbumCreated', version: 2 });
    expect(text('schemas/AlbumCreated.v2.avsc')).toBe(original('schemas/AlbumCreated.v1.avsc'));
    expectConsistent('schemas/AlbumCreated.v2.avsc', highestId + 1);
    expect(printed).toContain('src/events/upcasters.ts');
  });

  it('only adds: every earlier file and every earlier line stays the same', async () => {
    await runSchemas(root, ['add', 'SongFeatured']);
    const changed = execFileSync('git', ['diff', '--numstat'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
    const files = changed.map((line) => line.split('\t'));
    expect(files.map(([, , file]) => file)).toEqual(['frozen.sha256', 'schemas/golden.json', 'schemas/lock.json']);
    // The last line of the lock file gets a comma.
    expect(files.map(([, removed]) => Number(removed))).toEqual([0, 0, 1]);
  });

  it.each([[['add']], [['add', 'song-featured']], [['add', 'A', 'B']], [['delete', 'SongFeatured']], [[]]])(
    'explains its usage on %j',
    async (args) => {
      await expect(runSchemas(root, args)).rejects.toThrow('npm run schemas -- add Name');
    },
  );
});

describe('npm run schemas -- update', () => {
  const file = 'schemas/SongFeatured.v1.avsc';

  it('writes golden bytes and checksum again after the new schema was edited', async () => {
    await runSchemas(root, ['add', 'SongFeatured']);
    const field = '{ "name": "place", "type": "int", "doc": "place in the list" }';
    writeFileSync(path.join(root, file), text(file).replace('stream" }\n', `stream" },\n    ${field}\n`));
    await runSchemas(root, ['update', 'SongFeatured']);
    expectConsistent(file, highestId + 1);
    expect(golden().at(-1)!.payload).toEqual({ songId: expect.stringMatching(/^song-/), place: 1 });
    expect(lines()).toHaveLength(highestId + 1);
  });

  it('keeps an example payload that was written by hand', async () => {
    await runSchemas(root, ['add', 'SongFeatured']);
    const byHand = text('schemas/golden.json').replace(
      /"songId": "song-[0-9a-f]+"(?=\s+\},\s+"value": "[0-9a-f]+"\s+\}\s+\],)/,
      '"songId": "song-mine"',
    );
    writeFileSync(path.join(root, 'schemas/golden.json'), byHand);
    await runSchemas(root, ['update', 'SongFeatured']);
    expect(golden().at(-1)!.payload).toEqual({ songId: 'song-mine' });
    expectConsistent(file, highestId + 1);
  });

  it('refuses a schema that is committed', async () => {
    await expect(runSchemas(root, ['update', 'SongLiked'])).rejects.toThrow('is committed and never changes');
  });

  it('refuses a version that cannot read the values of every earlier one', async () => {
    const write = (version: number, field: string) => {
      const file = path.join(root, `schemas/AlbumLiked.v${version}.avsc`);
      writeFileSync(file, text('schemas/AlbumLiked.v1.avsc').replace('" }\n', `" },\n    ${field}\n`));
    };
    await runSchemas(root, ['add', 'AlbumLiked']);
    write(2, '{ "name": "stars", "type": "int", "default": 0, "doc": "how much" }');
    await runSchemas(root, ['update', 'AlbumLiked']);
    await runSchemas(root, ['add', 'AlbumLiked']);
    write(3, '{ "name": "stars", "type": "int", "doc": "how much" }');
    // Version 2 has the field, version 1 has not.
    await expect(runSchemas(root, ['update', 'AlbumLiked'])).rejects.toThrow(
      /earlier versions.*\n- version 1: [^\n]*$/,
    );
    write(3, '{ "name": "stars", "type": "string", "default": "", "doc": "how much" }');
    await expect(runSchemas(root, ['update', 'AlbumLiked'])).rejects.toThrow(
      /earlier versions.*\n- version 2: [^\n]*$/,
    );
  });

  it('refuses a schema that does not exist', async () => {
    await expect(runSchemas(root, ['update', 'SongFeatured'])).rejects.toThrow('There is no schema SongFeatured');
  });
});
