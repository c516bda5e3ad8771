import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { schemaVersions } from '../../src/events/codec.ts';
import { deadLettersOf, topicsOf } from '../../src/log/topics.ts';
import { createPlacement } from '../../src/events/placement.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { golden } from '../support/golden.ts';
import { claim } from '../support/core.ts';
import { openStrangerClient } from '../support/stranger-client.ts';
import { describeWithPython, runPython } from '../support/python.ts';
import { streamIn } from '../support/streams.ts';

const root = join(import.meta.dirname, '../..');
const LONG_MS = 900_000;
const ROLES = 'api,projector,exporter,worker,scheduler';
/** Files of the end-to-end suite that write, each different events. */
const SUITE = ['albums-of-people', 'catalog', 'job-types', 'jobs', 'playlists', 'users'];

/** Runs files of the end-to-end suite against a server, as `BASE_URL=… npm run test:e2e` does. Returns what it printed. */
async function endToEnd(url: string): Promise<string> {
  const files = SUITE.map((name) => `test/e2e/${name}.test.ts`);
  const options = ['--selectProjects', 'fast', '--config', 'jest.config.ts', '--maxWorkers', '1', ...files];
  const node = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', ...options];
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, BASE_URL: url };
  return new Promise((resolve) => {
    execFile(process.execPath, node, { cwd: root, env, maxBuffer: 2 ** 26 }, (_, out, errors) => resolve(out + errors));
  });
}

describeWithPython("Confluent's deserialiser", (python) => {
  describeDistributed('on a log of the end-to-end suite', () => {
    let system: Distributed;
    let folder: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'openmusic-confluent-'));
      system = await startDistributed({ apis: 0, projectors: 0 });
      await system.startApi({ ROLES, DATA_DIR: folder });
    }, LONG_MS);
    afterAll(async () => {
      await system.stop();
      await rm(folder, { recursive: true, force: true });
    });

    const topics = () =>
      topicsOf(createPlacement(system.namespace, Number(system.env.PARTITIONS)))
        .map(({ topic }) => topic)
        .filter((topic) => topic !== deadLettersOf(system.namespace)); // those are JSON

    async function read() {
      const args = [system.env.KAFKA_BROKERS!, `${system.apis[0]!.url}/registry`, ...topics()];
      const { lines, errors } = await runPython(python, 'test/strangers/confluent_reader.py', ...args);
      expect([lines.length, errors]).toEqual([1, expect.anything()]);
      return lines[0] as { types: Record<string, number>; failed: string[] };
    }

    it(
      'reads every record that the suite has made',
      async () => {
        expect(await endToEnd(system.apis[0]!.url)).toMatch(/\d\d passed, 0 failed/);
        const { types, failed } = await read();
        expect(failed).toEqual([]);
        expect(Object.keys(types).length).toBeGreaterThan(20);
        expect(Object.values(types).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(200);
      },
      LONG_MS,
    );

    it(
      'reads a record of every event type',
      async () => {
        const outsider = await openStrangerClient(system.env.KAFKA_BROKERS!.split(','));
        const records = golden.schemas.map(({ subject, value }) => {
          const record = claim({ stream: streamIn(system, 0), value: Buffer.from(value, 'hex') });
          return { ...record, headers: { ...record.headers, ce_type: subject, ce_checksum: '' } };
        });
        await outsider.produce({ topic: `${system.namespace}.voids`, partition: 0 }, ...records);
        await outsider.close();
        const { types, failed } = await read();
        expect(failed).toEqual([]);
        expect(Object.keys(types).sort()).toEqual(schemaVersions.map(({ subject }) => subject).sort());
      },
      LONG_MS,
    );

    it(
      'reads with the Python of docs/reference/log-format.md',
      async () => {
        const page = await readFile(join(root, 'docs/reference/log-format.md'), 'utf8');
        const [, snippet = ''] = /### Python\n\n```python\n(.*?)```/s.exec(page) ?? [];
        const script = snippet
          .replace('http://localhost:5000', system.apis[0]!.url)
          .replace('localhost:9092', system.env.KAFKA_BROKERS!)
          .replace('openmusic.catalog', `${system.namespace}.catalog`)
          .replace(/print\((.*)\)/, 'print(__import__("json").dumps([$1]))');
        const file = join(folder, 'reader.py');
        await writeFile(file, script);
        const { code, lines } = await runPython(python, file);
        expect(code).toBe(0);
        expect(lines).toContainEqual([
          'openmusic.AlbumCreated',
          expect.objectContaining({ albumId: expect.any(String) }),
        ]);
      },
      LONG_MS,
    );
  });
});
