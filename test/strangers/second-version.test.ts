import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { runSchemas } from '../schemas/schemas.ts';
import { createClient } from '../support/client.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { newAdmin } from '../support/jobs-faults.ts';
import { openmusic } from '../support/processes.ts';
import { describeWithPython, runPython } from '../support/python.ts';

const LONG_MS = 600_000;
const root = path.join(import.meta.dirname, '../..');
const COPIED = ['src', 'schemas', 'migrations', 'package.json', 'frozen.sha256', '.prettierrc.json'];
const ROLES = 'api,projector';
const SUBJECT = 'openmusic.AlbumChanged';

/** A copy of the project in which AlbumChanged has a second version, made as docs/how-to/extending.md says. It has one more field, `label`. */
async function withSecondVersion(folder: string): Promise<string> {
  for (const name of COPIED) cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  await runSchemas(folder, ['add', 'AlbumChanged']);
  edit(path.join(folder, 'schemas/AlbumChanged.v2.avsc'), '"doc": "year of publication" }', (field) => {
    const label = '{ "name": "label", "type": "string", "default": "none", "doc": "name of the label" }';
    return `${field},\n    ${label}`;
  });
  await runSchemas(folder, ['update', 'AlbumChanged']);
  edit(
    path.join(folder, 'src/events/upcasters.ts'),
    'Upcasters = {}',
    () => `Upcasters = { '${SUBJECT}': { 1: (payload) => ({ ...payload, label: 'upcast' }) } }`,
  );
  return folder;
}

function edit(file: string, part: string, change: (part: string) => string): void {
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(part);
  writeFileSync(file, text.replace(part, change));
}

describeWithPython('A second version of an event', (python) => {
  describeDistributed('on a log that has both', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'openmusic-second-version-'));
    let system: Distributed;
    let copy = '';
    let url = '';
    let albumId = '';

    const settings = () => ({ ROLES, DATA_DIR: path.join(folder, 'data') });
    const cli = (...args: string[]) => openmusic(args, system.env, path.join(copy, 'src/cli/openmusic.ts'));
    const ask = async (where: string, body?: object) => {
      const method = body ? 'POST' : 'GET';
      const headers = { 'content-type': 'application/vnd.schemaregistry.v1+json' };
      const answer = await fetch(`${url}/registry${where}`, { method, headers, body: body && JSON.stringify(body) });
      return (await answer.json()) as Record<string, unknown>;
    };

    /** Version 1 is written by the code of today, version 2 by the copy, on the same log. */
    beforeAll(async () => {
      copy = await withSecondVersion(path.join(folder, 'copy'));
      system = await startDistributed({ apis: 0, projectors: 0 });
      const today = await system.startApi(settings());
      const admin = await newAdmin(today.url, system.env);
      albumId = (await admin.post('/albums', { name: 'Nevermind', year: 1990 })).body?.data?.albumId ?? '';
      expect((await admin.put(`/albums/${albumId}`, { name: 'Nevermind', year: 1991 })).status).toBe(200);
      await today.end('SIGTERM');
      const next = await system.startApi(settings(), path.join(copy, 'src/main.ts'));
      ({ url } = next);
      const again = await newAdmin(url, system.env);
      expect((await again.put(`/albums/${albumId}`, { name: 'Nevermind (2011)', year: 2011 })).status).toBe(200);
    }, LONG_MS);
    afterAll(async () => {
      await system.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    it('is read by the stock consumer, each record in the version in which it was written, and all of them in the newest', async () => {
      const topic = `${system.namespace}.catalog`;
      const args = [system.env.KAFKA_BROKERS!, `${url}/registry`, topic, SUBJECT];
      const { lines, errors } = await runPython(python, 'test/strangers/versions_reader.py', ...args);
      const first = { albumId, name: 'Nevermind', year: 1991 };
      const second = { albumId, name: 'Nevermind (2011)', year: 2011, label: 'none' };
      expect({ lines, errors }).toEqual({
        lines: [
          { written: first, newest: { ...first, label: 'none' } },
          { written: second, newest: second },
        ],
        errors: expect.anything(),
      });
    }, 120_000);

    it(
      'shows in the read models, and a rebuild upcasts the first version and comes to the same tables',
      async () => {
        const { body } = await createClient(url).get(`/albums/${albumId}`);
        expect(body?.data?.album).toMatchObject({ name: 'Nevermind (2011)', year: 2011 });
        const { code, output } = await cli('projections', 'rebuild');
        expect([code, output]).toEqual([0, expect.anything()]);
        expect((await cli('log', 'verify')).code).toBe(0);
        expect((await cli('quarantine', 'list', '--json')).output.trim()).toBe('[]');
      },
      LONG_MS,
    );

    it('is a version of the same subject at the registry, under an id of its own', async () => {
      expect(await ask(`/subjects/${SUBJECT}/versions`)).toEqual([1, 2]);
      const [first, latest] = [
        await ask(`/subjects/${SUBJECT}/versions/1`),
        await ask(`/subjects/${SUBJECT}/versions/latest`),
      ];
      expect([first.version, latest.version, latest.id === first.id]).toEqual([1, 2, false]);
      expect(await ask(`/subjects/${SUBJECT}`, { schema: latest.schema })).toMatchObject({ id: latest.id, version: 2 });
      expect(await ask(`/compatibility/subjects/${SUBJECT}/versions`, { schema: latest.schema })).toEqual({
        is_compatible: true,
      });
      const withoutDefault = String(latest.schema).replace('"default":"none",', '');
      expect(await ask(`/compatibility/subjects/${SUBJECT}/versions`, { schema: withoutDefault })).toEqual({
        is_compatible: false,
      });
      expect(await ask(`/compatibility/subjects/${SUBJECT}/versions/2`, { schema: withoutDefault })).toEqual({
        is_compatible: true,
      });
    });
  });
});
