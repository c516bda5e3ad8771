import { rename, rm, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  FAST_HOURS,
  FAULTY,
  coverFileOf,
  coverUrlOf,
  type CoverServer,
  fetched,
  FORM,
  FORM_END,
  formOf,
  namesIn,
  newAlbum,
  type Part,
  startCoverServer,
  upload,
} from '../support/covers.ts';
import { avif, gif, jpeg, png } from '../support/images.ts';
import { ERROR, entryOf, eventually, linesOf, metricOf } from '../support/observed.ts';
import { dial, untilClosed } from '../support/raw-http.ts';
import { within } from '../support/servers/waiting.ts';
import { describeWithMinio, type Minio } from '../support/servers/minio.ts';
import { describeWithSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const MEGABYTE = 2 ** 20;
const MAX_BYTES = 512_000;
const fails = (status: number, code: string) => ({ status, body: { status: 'fail', code } });
const unavailable = { status: 503, body: { status: 'error', code: 'FILES_UNAVAILABLE' } };
const created = { status: 201, body: { status: 'success' } };

describe('an upload', () => {
  let server: CoverServer;
  let album: string;
  /** How many answers were 201. */
  let kept = 0;
  beforeAll(async () => {
    server = await startCoverServer();
    album = await newAlbum(server.client);
  });
  afterAll(() => server.stop());

  const send = async (bytes: Buffer | string, part?: Partial<Part>) => {
    const answer = await upload(server.client, album, bytes, part);
    if (answer.status === 201) kept++;
    return answer;
  };
  const sendForm = (form: Buffer<ArrayBuffer>) =>
    server.client.send('POST', `/albums/${album}/covers`, { raw: form, headers: FORM });
  const shown = async () => fetched(await coverUrlOf(server.client, album));

  /** A request as bytes, after which the server closes the connection. */
  const head = (length: number, more = 'Connection: close\r\n') =>
    `POST /albums/${album}/covers HTTP/1.1\r\nHost: x\r\n${more}Content-Type: ${FORM['content-type']}\r\nContent-Length: ${length}\r\n\r\n`;

  /** Sends the pieces one after the other, and returns everything that comes back until the server closes. */
  async function sendRaw(pieces: readonly (string | Buffer)[], { pauseMs = 0, half = false } = {}): Promise<string> {
    const socket = await dial(server.client.base);
    const answer = untilClosed(socket);
    for (const piece of pieces) {
      socket.write(piece);
      if (pauseMs > 0) await delay(pauseMs);
    }
    if (half) socket.end();
    return within(20_000, 'the answer', answer);
  }

  describe('is recognised by its bytes', () => {
    it.each([
      ['a text', 'image/png', 'Viva la Vida'],
      ['nothing', 'image/png', ''],
      ['HTML', 'image/jpeg', '<!doctype html><script>alert(1)</script>'],
      ['SVG', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'],
      ['SVG', 'image/png', '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'],
      ['PDF', 'image/png', '%PDF-1.7\n'],
      ['a ZIP', 'image/webp', 'PK\x03\x04'],
      ['TIFF', 'image/tiff', Buffer.from('49492a0008000000', 'hex')],
      ['BMP', 'image/bmp', Buffer.concat([Buffer.from('BM'), Buffer.alloc(52, 1)])],
      ['HEIC', 'image/avif', Buffer.from(avif().toString('latin1').replaceAll('avif', 'heic'), 'latin1')],
      ['a PNG that has lost its first byte', 'image/png', png().subarray(1)],
      ['a PNG without pixels', 'image/png', png({ width: 0 })],
    ])('rejects %s that is called %s', async (_, type, bytes) => {
      const filename = `cover.${type.slice('image/'.length)}`;
      expect(await send(bytes, { type, filename })).toMatchObject(fails(400, 'NOT_AN_IMAGE'));
    });

    it.each([
      ['a PNG that is called a text', png(), 'text/plain', 'cover.txt', 'image/png'],
      ['a GIF that is called a PNG', gif(), 'image/png', 'cover.png', 'image/gif'],
      ['a JPEG that is called HTML', jpeg(), 'text/html; charset=utf-8', 'cover.html', 'image/jpeg'],
      ['an AVIF without a type', avif(), undefined, 'cover', 'image/avif'],
      ['a PNG of an invalid type', png(), ';;;=,', '', 'image/png'],
    ])('accepts %s', async (_, bytes, type, filename, mediaType) => {
      expect(await send(bytes, { type, filename })).toMatchObject(created);
      const { status, headers, bytes: served } = await shown();
      expect([status, headers.get('content-type'), served.equals(bytes)]).toEqual([200, mediaType, true]);
    });

    it.each([
      ['a PNG and a ZIP', Buffer.concat([png(), Buffer.from('PK\x03\x04 and so on')]), 'image/png'],
      ['a PNG and HTML', Buffer.concat([png(), Buffer.from('<script>alert(1)</script>')]), 'image/png'],
      ['a GIF and JavaScript', Buffer.concat([gif(), Buffer.from('*/=1;alert(1)//')]), 'image/gif'],
      ['a JPEG and PHP', Buffer.concat([jpeg(), Buffer.from('<?php phpinfo(); ?>')]), 'image/jpeg'],
    ])('serves %s in one as the first type only', async (_, bytes, mediaType) => {
      expect(await send(bytes, { type: 'text/html' })).toMatchObject(created);
      const { headers, bytes: served } = await shown();
      expect(Object.fromEntries(headers)).toMatchObject({
        'content-type': mediaType,
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'; sandbox",
      });
      expect(served.equals(bytes)).toBe(true);
    });
  });

  it.each([
    ['a name that leads up', '../../../../tmp/cover.png'],
    ['a name that leads up on Windows', '..\\..\\cover.png'],
    ['a name that begins at the root', '/etc/cron.d/cover'],
    ['a name with NUL', 'a\0.png'],
    ['a name with an encoded NUL', 'a%00.png'],
    ['a name with CRLF', 'a\r\nX-Evil: 1.png'],
    ['a name with a backslash before its end', 'a.png; x=\\"'],
    ['a name with a quote', 'a".png'],
    ['none', ''],
    ['a name of 300 bytes', 'n'.repeat(300)],
    ['a name of 30,000 bytes', 'n'.repeat(30_000)],
    ['a name that is not UTF-8', '\xff\xfe\xfd'],
    ['a name that is SQL', "'; DROP TABLE albums; --"],
    ['a name that configures web servers', '.htaccess'],
  ])('is stored with a generated name when the client gives %s', async (_, filename) => {
    expect(await send(png(), { filename })).toMatchObject(created);
    expect(path.basename(await coverUrlOf(server.client, album))).toMatch(/^[\da-f-]{36}\.png$/);
  });

  it.each([['a\nX-Evil: 1.png'], ['a\rb.png']])('is refused when half a line end is in %j', async (filename) => {
    expect(await send(png(), { filename })).toMatchObject(fails(400, 'VALIDATION_FAILED'));
  });

  describe('that is not a valid form', () => {
    it.each([
      ['has 10,000 files', formOf(Array.from({ length: 10_000 }, () => ({ bytes: png(), filename: 'a.png' })))],
      ['has 10,000 fields', formOf(Array.from({ length: 10_000 }, (_, index) => ({ bytes: 'x', field: `f${index}` })))],
      ['has 10,000 empty parts', Buffer.from('--b0undary\r\n\r\n\r\n'.repeat(10_000) + FORM_END)],
      [
        'has a field beside the file',
        formOf([
          { bytes: png(), filename: 'a.png' },
          { bytes: '1', field: 'id' },
        ]),
      ],
      [
        'has a field before the file',
        formOf([
          { bytes: '1', field: 'id' },
          { bytes: png(), filename: 'a.png' },
        ]),
      ],
      ['has the file as a field', formOf([{ bytes: png() }])],
      ['has a field of a megabyte', formOf([{ bytes: 'x'.repeat(MEGABYTE) }])],
      ['sets properties that every object has', formOf([{ bytes: png(), field: '__proto__', filename: 'a.png' }])],
      ['has a megabyte of part headers', formOf([{ bytes: png(), headers: `X-Long: ${'x'.repeat(MEGABYTE)}\r\n` }])],
      ['has 10,000 part headers', formOf([{ bytes: png(), headers: 'X-Many: 1\r\n'.repeat(10_000) }])],
      ['has a part header without an end', Buffer.from(`--b0undary\r\nX: ${'x'.repeat(MEGABYTE)}${FORM_END}`)],
      ['has no final boundary', formOf([{ bytes: png(), filename: 'a.png' }], '')],
      ['ends within its headers', Buffer.from('--b0undary\r\nContent-Disposition: form-da')],
      ['has only a megabyte of preamble', Buffer.alloc(MEGABYTE, 'x')],
      ['has another boundary', Buffer.from('--other\r\n\r\n\r\n--other--\r\n')],
      ['is empty', Buffer.alloc(0)],
    ])('is 400 because it %s', async (_, form) => {
      const answer = await sendForm(form);
      expect([answer.status, answer.body?.status]).toEqual([400, 'fail']);
      expect(['VALIDATION_FAILED', 'INVALID_FORM']).toContain(answer.body?.code);
    });

    it('is 400 because it names no boundary', async () => {
      const options = { raw: formOf([{ bytes: png() }]), headers: { 'content-type': 'multipart/form-data' } };
      expect(await server.client.send('POST', `/albums/${album}/covers`, options)).toMatchObject(
        fails(400, 'INVALID_FORM'),
      );
    });

    it('is 400 because it is longer than its Content-Length', async () => {
      const form = formOf([{ bytes: png(), filename: 'a.png' }]);
      const answers = await sendRaw([head(form.length - 10), form]);
      expect(answers).toMatch(/^HTTP\/1.1 400 .*"(INVALID_FORM|MALFORMED_REQUEST)"/s); // depends on which error is found first
    });

    it('is 400 because it is shorter than its Content-Length, and is not stored', async () => {
      const before = await coverUrlOf(server.client, album);
      const form = formOf([{ bytes: gif(), filename: 'a.gif' }]);
      const answers = await sendRaw([head(form.length + 10), form], { half: true });
      expect(answers).toMatch(/^HTTP\/1.1 400 /);
      expect(await coverUrlOf(server.client, album)).toBe(before);
    });

    it('leaves its connection usable for the next request', async () => {
      const file = { bytes: png({ padding: 400_000 }), filename: 'a.png' };
      const form = formOf([file, file, file]);
      const next = `GET /albums/${album} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      const answers = await sendRaw([head(form.length, ''), form, next]);
      expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200']);
    });
  });

  describe('that is too large', () => {
    const tooLarge = formOf([{ bytes: png({ padding: 900 * 1_024 }), filename: 'a.png' }]);
    const memory = () => metricOf(server.process, 'process_resident_memory_bytes');

    /** The largest growth of the process's memory during the work, in MiB. */
    async function growthDuring(work: () => Promise<unknown>): Promise<number> {
      const before = await memory();
      let [most, working] = [before, true];
      const watching = (async () => {
        while (working) most = Math.max(most, await memory());
      })();
      await work().finally(() => (working = false));
      await watching;
      return Math.round((most - before) / MEGABYTE);
    }

    it('by one byte is 413, also when the byte arrives separately', async () => {
      const exact = Buffer.concat([png(), Buffer.alloc(MAX_BYTES - png().length)]);
      expect(await send(exact)).toMatchObject(created);
      const [form, end] = [formOf([{ bytes: exact, filename: 'a.png' }], ''), Buffer.from(`x${FORM_END}`)];
      const answer = await sendRaw([head(form.length + end.length), form, end], { pauseMs: 200 });
      expect(answer).toMatch(/^HTTP\/1.1 413 .*"BODY_TOO_LARGE"/s);
    });

    it('fifty times at once is a complete 413 each time, in bounded memory', async () => {
      await Promise.all(Array.from({ length: 5 }, () => sendForm(tooLarge)));
      const growth = await growthDuring(async () => {
        const answers = await Promise.all(Array.from({ length: 50 }, () => sendForm(tooLarge)));
        for (const answer of answers) expect(answer).toMatchObject(fails(413, 'BODY_TOO_LARGE'));
        expect(answers).toHaveLength(50);
      });
      process.stdout.write(`50 × 900 KiB: ${growth} MiB more\n`);
      expect(growth).toBeLessThan(128);
    });

    it('from fifty slow clients is a complete 413 for each', async () => {
      const pieces = Array.from({ length: 15 }, (_, index) => tooLarge.subarray(index * 65_536, (index + 1) * 65_536));
      const sendSlowly = () => sendRaw([head(tooLarge.length), ...pieces], { pauseMs: 60 });
      const growth = await growthDuring(async () => {
        const answers = await Promise.all(Array.from({ length: 50 }, sendSlowly));
        for (const answer of answers) {
          const [top = '', body = ''] = answer.split('\r\n\r\n');
          expect(top).toMatch(/^HTTP\/1.1 413 /);
          expect(JSON.parse(body)).toMatchObject({ status: 'fail', code: 'BODY_TOO_LARGE' });
        }
      });
      process.stdout.write(`50 × 900 KiB, slowly: ${growth} MiB more\n`);
      expect(growth).toBeLessThan(128);
    });

    it('by far is not held in memory', async () => {
      const form = formOf([{ bytes: Buffer.alloc(32 * MEGABYTE), filename: 'a.png' }]);
      const growth = await growthDuring(async () => {
        const answers = await Promise.all(Array.from({ length: 4 }, () => sendForm(form)));
        for (const answer of answers) expect(answer).toMatchObject(fails(413, 'BODY_TOO_LARGE'));
      });
      process.stdout.write(`4 × 32 MiB: ${growth} MiB more\n`);
      expect(growth).toBeLessThan(96);
    });
  });

  it('that its client aborts is discarded', async () => {
    const before = await coverUrlOf(server.client, album);
    const form = formOf([{ bytes: png({ padding: 400_000 }), filename: 'a.png' }]);
    for (const part of [0.1, 0.5, 0.9]) {
      const socket = await dial(server.client.base);
      await new Promise((resolve) => socket.write(head(form.length), resolve));
      await new Promise((resolve) => socket.write(form.subarray(0, form.length * part), resolve));
      socket.destroy();
    }
    expect(await coverUrlOf(server.client, album)).toBe(before);
  });

  it.each([
    ['PNG', png({ width: 60_000, height: 60_000 })],
    ['PNG', png({ width: 2 ** 32 - 1, height: 2 ** 32 - 1 })],
    ['GIF', Buffer.from('474946383961ffffffff000000', 'hex')],
    ['JPEG', Buffer.from('ffd8ffc0000bffffffffffff01011100', 'hex')],
    ['WebP', Buffer.from('524946460000000057454250565038580a00000000000000ffffffffffff', 'hex')],
  ])('of a small %s with very many pixels is refused', async (_, bytes) => {
    expect(bytes.length).toBeLessThan(1_000);
    expect(await send(bytes)).toMatchObject(fails(400, 'TOO_MANY_PIXELS'));
  });

  it('leaves only covers behind, and no log warning', async () => {
    expect(await server.process.end('SIGTERM')).toBe(0);
    const lines = server.process.output().split('\n').filter(Boolean);
    expect(lines.filter((line) => (JSON.parse(line) as { level: number }).level >= ERROR)).toEqual([]);
    expect(await namesIn(server.temporary)).toEqual([]);
    const names = await namesIn(server.directory);
    expect(names.filter((name) => !/^[\da-f-]{36}\.(png|gif|jpg|webp|avif)$/.test(name))).toEqual([]);
    expect(names).toHaveLength(kept);
    expect(await namesIn(path.dirname(server.directory))).toEqual(['covers']);
  });
});

describe('a directory without write permission', () => {
  let server: CoverServer;
  beforeAll(async () => {
    server = await startCoverServer();
  });
  afterAll(() => server.stop());

  it('gives a 503, and the old cover stays', async () => {
    const { client, directory } = server;
    const album = await newAlbum(client);
    expect(await upload(client, album, png())).toMatchObject(created);
    const before = await coverUrlOf(client, album);
    await rename(directory, `${directory}-away`);
    await writeFile(directory, '');
    expect(await upload(client, album, gif())).toMatchObject(unavailable);
    expect(await client.get(`/covers/${path.basename(before)}`)).toMatchObject(unavailable);
    await rm(directory);
    await rename(`${directory}-away`, directory);
    expect(await coverUrlOf(client, album)).toBe(before);
    expect((await fetched(before)).status).toBe(200);
    expect(await upload(client, album, gif())).toMatchObject(created);
  });
});

describeWithSmallDisk('a disk that is full', (startDisk) => {
  let disk: SmallDisk;
  let server: CoverServer;
  beforeAll(async () => {
    disk = await startDisk(8);
    server = await startCoverServer({ DATA_DIR: path.join(disk.path, 'data') });
  });
  afterAll(async () => {
    await server.stop();
    await disk.stop();
  });

  it('gives a 503, the old cover stays, and no partial file is left', async () => {
    const { client, directory } = server;
    const album = await newAlbum(client);
    expect(await upload(client, album, png())).toMatchObject(created);
    const before = await coverUrlOf(client, album);
    const names = await namesIn(directory);
    await disk.fill();
    expect(await upload(client, album, png({ padding: 500_000 }))).toMatchObject(unavailable);
    expect(await namesIn(directory)).toEqual(names);
    expect(await coverUrlOf(client, album)).toBe(before);
    expect((await fetched(before)).status).toBe(200);
    await disk.clear();
    expect(await upload(client, album, gif())).toMatchObject(created);
  });
});

describe('a process that dies between the file and its event', () => {
  let server: CoverServer;
  beforeAll(async () => {
    // The album and its first cover are events 1 and 2.
    server = await startCoverServer({ FAULT: 'before-append:3' }, FAULTY);
  });
  afterAll(() => server.stop());

  it('leaves the old cover, and a file that is swept', async () => {
    const { client, directory } = server;
    const album = await newAlbum(client);
    expect(await upload(client, album, png())).toMatchObject(created);
    const before = await coverUrlOf(client, album);
    const [current = ''] = await namesIn(directory);
    await expect(upload(client, album, gif())).rejects.toThrow();
    expect(await server.process.ended).toBe('SIGKILL');
    const left = (await namesIn(directory)).filter((name) => name !== current);
    expect(left).toEqual([expect.stringMatching(/\.gif$/)]);
    const longAgo = (Date.now() - 7_200_000) / 1_000;
    for (const name of [current, ...left]) await utimes(path.join(directory, name), longAgo, longAgo);
    await server.start(FAST_HOURS);
    expect(await coverUrlOf(client, album)).toBe(before);
    await eventually('only the cover is left', async () => (await namesIn(directory)).join() === current);
    expect((await fetched(before)).status).toBe(200);
    expect(await coverFileOf(server, album)).toBe(path.join(directory, current));
    expect(linesOf(server.process, 'files that no row names were deleted: 1')).toHaveLength(1);
  });
});

describeWithMinio('covers in S3', (startS3) => {
  let minio: Minio;
  let server: CoverServer;
  let album: string;
  beforeAll(async () => {
    minio = await startS3();
    server = await startCoverServer({ ...minio.settings, FILES_PROVIDER: 's3' });
    album = await newAlbum(server.client);
  });
  afterAll(async () => {
    await server.stop();
    await minio.stop();
  });

  it('are served whole, in ranges, and as 304 to a client that has them', async () => {
    const bytes = png({ padding: 300_000 });
    expect(await upload(server.client, album, bytes)).toMatchObject(created);
    const url = await coverUrlOf(server.client, album);
    const whole = await fetched(url);
    expect([whole.status, whole.headers.get('content-type'), whole.bytes.equals(bytes)]).toEqual([200, 'image/png', true]); // prettier-ignore
    const part = await fetched(url, { range: 'bytes=100-199' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${bytes.length}`]);
    expect(part.bytes.equals(bytes.subarray(100, 200))).toBe(true);
    expect((await fetched(url, { range: `bytes=${bytes.length}-` })).status).toBe(416);
    expect((await fetched(url, { 'if-none-match': whole.headers.get('etag')! })).status).toBe(304);
    expect(await namesIn(server.directory)).toEqual([]);
  });

  it('are deleted with their album, and when they are replaced', async () => {
    const another = await newAlbum(server.client);
    const urls: string[] = [];
    for (const bytes of [png(), gif()]) {
      expect(await upload(server.client, another, bytes)).toMatchObject(created);
      urls.push(await coverUrlOf(server.client, another));
    }
    const statuses = () => Promise.all(urls.map(async (url) => (await fetched(url)).status));
    expect(await statuses()).toEqual([404, 200]);
    await server.client.delete(`/albums/${another}`);
    expect(await statuses()).toEqual([404, 404]);
  });

  it('are unavailable while it is gone, and nothing else is', async () => {
    const url = await coverUrlOf(server.client, album);
    expect(await entryOf(server.process, 'files')).toEqual({ status: 200, entry: { ok: true, detail: expect.any(String) } }); // prettier-ignore
    await minio.kill();
    expect(await upload(server.client, album, gif())).toMatchObject(unavailable);
    const missed = await fetched(url);
    expect([missed.status, missed.headers.get('cache-control')]).toEqual([503, null]);
    expect(await entryOf(server.process, 'files')).toMatchObject({ status: 200, entry: { ok: false } });
    await minio.restart();
    expect(await coverUrlOf(server.client, album)).toBe(url);
    expect((await fetched(url)).status).toBe(200);
    expect(await upload(server.client, album, gif())).toMatchObject(created);
  });
});
