import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readRecovery } from '../../src/recovery/note.ts';
import { openCore } from '../support/core.ts';
import { truncateLog } from '../support/truncated-log.ts';
import { eventually } from '../support/observed.ts';
import { openmusic } from '../support/processes.ts';
import { createDatabase, describeWithPrograms, type TestDatabase } from '../support/servers/index.ts';

const LONG_MS = 120_000;
let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
}, LONG_MS);
afterAll(() => database.drop());

describeWithPrograms(['script'], 'a command that waits for an answer', () => {
  it(
    'ends on Ctrl-C and changes nothing',
    async () => {
      const core = await openCore({ connection: database.connection });
      try {
        await truncateLog(core, await core.openApi({ limits: { verdictWaitMs: 30_000 } }));
        const { host, port, user, password, database: name } = database.connection;
        const login = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: name };
        const env = { ...login, NAMESPACE: core.namespace, PARTITIONS: '2' };
        // The command asks only at a terminal: `script` provides one, on which Ctrl-C is a character.
        const command = `exec ${process.execPath} src/cli/openmusic.ts log recover`;
        const child = spawn('script', ['-qefc', command, '/dev/null'], { env: { ...env, PATH: process.env.PATH } });
        let output = '';
        for (const stream of [child.stdout, child.stderr]) stream.on('data', (some) => (output += String(some)));
        await eventually('it asks', () => output.includes('Type append'), 60_000);
        child.stdin.write('\u0003');
        expect(await once(child, 'close')).toEqual([1, null]);
        expect(output).toContain('openmusic: interrupted');
        expect(await readRecovery(core.admin)).toBeUndefined();
        expect(await openmusic(['log', 'recover', '--answer', 'append'], env)).toMatchObject({ code: 0 });
      } finally {
        await core.close();
      }
    },
    LONG_MS,
  );
});
