import { randomUUID } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { JobFaultPoint } from '../../../src/faults.ts';
import { seedOfRun } from '../../support/distributed.ts';
import type { JobsApp } from '../../support/jobs-faults.ts';
import type { JobsStack } from '../../support/jobs-stack.ts';
import { begin, codesOf, mailsTo, untilOver } from '../../support/jobs-client.ts';
import { eventually } from '../../support/observed.ts';
import { within } from '../../support/servers/waiting.ts';
import type { SharedStack } from '../../support/shared-stack.ts';
import type { TestSmtpServer } from '../../support/smtp-server.ts';

/** Where the process dies, which job it runs, and how often its mail is sent. */
const cases: readonly (readonly [JobFaultPoint, 'exports' | 'messages', number])[] = [
  ['before-mail', 'exports', 1],
  ['after-mail', 'exports', 2],
  ['after-mail', 'messages', 2],
  ['before-record', 'exports', 1],
  ['after-record', 'messages', 1],
];

/** One job at a time, so that a process is killed in one place. A lease is as short as a busy machine allows. */
const SETTINGS = { WORKER_CONCURRENCY: '1', JOB_LEASE_SECONDS: '4' };
const EACH = 3;
const WITHIN_MS = 30_000;
const TIME_MS = 120_000;

export function whenWorkersAreKilled(stack: SharedStack<JobsStack>): void {
  describe('a worker is killed -9, and another one takes its place', () => {
    let app: JobsApp;
    let smtp: TestSmtpServer;
    let playlist: string;
    let newAddresses: JobsStack['newAddresses'];
    stack.use((shared) => ({ app, smtp, playlist, newAddresses } = shared));
    beforeEach(() => app.runWith(SETTINGS), TIME_MS);

    const sentTo = (address: string) => smtp.mails.filter(({ to }) => to.includes(address));

    /** The files in the store, by name. */
    async function stored(): Promise<Map<string, string>> {
      const directory = path.join(app.dataDir, 'files', 'openmusic');
      const entries = await readdir(directory, { recursive: true, withFileTypes: true });
      const files = entries
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => path.join(parentPath, name));
      return new Map(await Promise.all(files.map(async (file) => [file, await readFile(file, 'utf8')] as const)));
    }

    const isHalf = ([name]: readonly [string, string]) => name.endsWith('.part');

    /** A partial file has a name that no client requests. */
    async function mustBeWhole(): Promise<void> {
      for (const file of await stored()) if (!isHalf(file)) expect(JSON.parse(file[1])).toBeTruthy();
    }

    const requests = {
      messages: (address: string) => ['/messages', mailsTo([address])[0]!] as const,
      exports: (address: string) => [`/export/playlists/${playlist}`, { targetEmail: address }] as const,
    };

    /**
     * Requests one job per address. Each has a key: the process may die before it has answered every request, and is asked
     * again then.
     */
    function jobsFor(kind: keyof typeof requests, addresses: readonly string[]): () => Promise<string>[] {
      const keyed = addresses.map((address) => [...requests[kind](address), randomUUID()] as const);
      return () => keyed.map(([path, body, key]) => begin(app.admin, path, body, key));
    }

    it.each(cases)(
      '%s: %s are done; the mail of the interrupted one is sent this often: %d',
      async (point, kind, times) => {
        const addresses = newAddresses(EACH);
        await app.process().armAt(point);
        const ask = jobsFor(kind, addresses);
        const asked = Promise.allSettled(ask());
        expect(await within(WITHIN_MS, 'to die', app.process().ended)).toBe('SIGKILL');
        await asked;
        await app.runWith(SETTINGS);
        const ids = await Promise.all(ask());
        const jobs = await untilOver(app.admin, ids, WITHIN_MS);
        expect(jobs.map(({ state }) => state)).toEqual(addresses.map(() => 'succeeded'));
        const counts = addresses.map((address) => sentTo(address).length).sort();
        expect(counts).toEqual([...Array<number>(EACH - 1).fill(1), times]);
        for (const address of addresses)
          expect(new Set(sentTo(address).map(({ messageId }) => messageId)).size).toBe(1);
        await mustBeWhole();
      },
      TIME_MS,
    );

    it(
      'while the server has all of a mail and has not answered: it is sent once more, with the same Message-ID',
      async () => {
        await smtp.behave({ does: 'hangs', at: 'data' });
        const [address = ''] = newAddresses(1);
        const id = await begin(app.admin, '/messages', mailsTo([address])[0]!);
        await eventually('the mail is in transit', () => smtp.held === 1);
        await app.process().end('SIGKILL');
        await smtp.behave({ does: 'well' });
        await app.runWith(SETTINGS);
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        expect([job?.state, codesOf(job!)]).toEqual(['succeeded', ['WORKER_LOST', undefined]]);
        expect(sentTo(address)).toHaveLength(1);
      },
      TIME_MS,
    );

    it(
      'while a file is being written: it appears complete or not at all',
      async () => {
        const seed = seedOfRun();
        process.stdout.write(`SEED=${seed}\n`);
        await mkdir(path.join(app.dataDir, 'files', 'openmusic', 'exports'), { recursive: true });
        for (let turn = 0; turn < TURNS; turn++) {
          const before = new Set((await stored()).keys());
          const [address = ''] = newAddresses(1);
          const dead = killAtWriting(seed + turn);
          const id = await begin(app.admin, `/export/playlists/${playlist}`, { targetEmail: address });
          await within(WITHIN_MS, 'to die', dead);
          const left = [...(await stored())].filter(([name]) => !before.has(name));
          await mustBeWhole();
          await app.runWith(SETTINGS);
          const [job] = await untilOver(app.admin, [id], WITHIN_MS);
          expect([job?.state, sentTo(address).length]).toEqual(['succeeded', 1]);
          await mustBeWhole();
          if (left.some(isHalf)) return;
        }
        throw new Error(`it was never killed while it wrote, in ${TURNS} turns`);
      },
      TIME_MS,
    );

    /** Kills the process as soon as a partial file is visible, or a little later. */
    async function killAtWriting(seed: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      let seen = 0;
      const watcher: FSWatcher = watch(path.join(app.dataDir, 'files', 'openmusic', 'exports'), () => {
        if (seen++ === seed % 2) resolve();
      });
      await promise;
      await app.process().end('SIGKILL');
      watcher.close();
    }
  });
}

const TURNS = 8;
