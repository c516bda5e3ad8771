import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { killDuringPut } from '../support/killed-put.ts';
import { keptHashOf, namesOf, open, removeAll, type Settings, useScratch } from '../support/stored-files.ts';
import { type Link, startProxy } from '../support/proxy.ts';
import { namespace } from '../support/servers/index.ts';
import { describeWithS3, type S3Server } from '../support/servers/minio.ts';

const LARGE = 50 * 2 ** 20;
/** How long a connection may stall. */
const ANSWER_SECONDS = 3;
const { made } = useScratch();

describeWithS3('a large upload to S3', (start) => {
  let server: S3Server;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server.stop());
  const settings = (): Settings => ({ ...server.settings, FILES_PROVIDER: 's3' });

  it('is absent when the uploading process is killed in the middle', async () => {
    const own = { ...settings(), NAMESPACE: namespace() };
    const files = await open(own);
    const [first, second] = [await made(LARGE), await made(LARGE)];
    await killDuringPut(own, ['results/a.zip', 'half-read', first.file]);
    expect([await namesOf(files), await files.open('results/a.zip')]).toEqual([[], undefined]);
    await files.putFile('results/a.zip', first.file, 'application/zip');
    await killDuringPut(own, ['results/a.zip', 'half-read', second.file]);
    expect(await keptHashOf(files, 'results/a.zip')).toBe(first.hash);
    await removeAll(files);
    await files.stop();
  });

  /** A proxy to the server on which `pass` decides about every chunk of an upload. */
  async function openBehind(pass: (link: Link, chunk: Buffer, sent: number) => Promise<void> | boolean) {
    const { hostname: host, port } = new URL(settings().S3_ENDPOINT!);
    let connections = 0;
    const proxy = await startProxy({ host, port: Number(port) }, (link) => {
      connections++;
      let sent = 0;
      link.server.pipe(link.client);
      link.client.on('data', (chunk: Buffer) => {
        sent += chunk.length;
        link.client.pause();
        void Promise.resolve(pass(link, chunk, sent)).then((goOn) => {
          if (goOn === false) return;
          link.server.write(chunk);
          link.client.resume();
        });
      });
    });
    const files = await open({
      ...settings(),
      NAMESPACE: namespace(),
      S3_ENDPOINT: `http://127.0.0.1:${proxy.port}`,
      S3_ANSWER_SECONDS: String(ANSWER_SECONDS),
    });
    return {
      files,
      connections: () => connections,
      async stop() {
        await files.stop();
        await proxy.close();
      },
    };
  }

  it('is absent when the connection is cut in the middle, and is not retried automatically', async () => {
    let cuts = 0;
    const { files, connections, stop } = await openBehind((link, _, sent) => {
      if (cuts > 0 || sent < LARGE / 2) return true;
      cuts++;
      link.cut();
      return false;
    });
    const { file, hash } = await made(LARGE);
    await expect(files.putFile('results/a.zip', file, 'application/zip')).rejects.toThrow();
    expect([cuts, connections(), existsSync(file)]).toEqual([1, 1, true]);
    expect(await namesOf(files)).toEqual([]);
    await files.putFile('results/a.zip', file, 'application/zip');
    expect([await keptHashOf(files, 'results/a.zip'), existsSync(file)]).toEqual([hash, false]);
    await removeAll(files);
    await stop();
  });

  it('is given up when the connection stalls in the middle', async () => {
    const { files, stop } = await openBehind((_, __, sent) => sent < LARGE / 2);
    const { file } = await made(LARGE);
    await expect(files.putFile('results/a.zip', file, 'application/zip')).rejects.toThrow(/inactivity/);
    expect([await namesOf(files), existsSync(file)]).toEqual([[], true]);
    await stop();
  });

  it('is stored over a slow connection, however long it takes', async () => {
    const began = Date.now();
    let due = began;
    const { files, stop } = await openBehind((_, chunk) => {
      due += (chunk.length / LARGE) * 1.5 * ANSWER_SECONDS * 1_000;
      return delay(Math.max(0, due - Date.now()));
    });
    const { file, hash } = await made(LARGE);
    await files.putFile('results/a.zip', file, 'application/zip');
    expect(Date.now() - began).toBeGreaterThan(1.2 * ANSWER_SECONDS * 1_000);
    expect(await keptHashOf(files, 'results/a.zip')).toBe(hash);
    await removeAll(files);
    await stop();
  });
});
