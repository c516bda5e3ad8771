import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { openMail } from '../../src/providers/mail/providers.ts';
import { newMail } from '../contract/mail.ts';
import { parseMail } from '../support/smtp-mail.ts';
import { describeWithSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const patience = new AbortController().signal;
const open = (DATA_DIR: string, NAMESPACE = 'letters') =>
  openMail(loadConfig({ DATA_DIR, NAMESPACE, MAIL_PROVIDERS: 'file' }, '/nowhere'));

describe('mail in files', () => {
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-mail-'));
  });
  afterAll(() => rm(dataDir, { recursive: true }));

  it('is named after its Message-ID, and the provider returns its path', async () => {
    const registry = await open(dataDir);
    const mail = newMail();
    const file = path.join(dataDir, 'mail', 'letters', `${mail.messageId}.eml`);
    expect(await registry.send('file', mail, patience)).toBe(file);
    expect(parseMail(await readFile(file)).subject).toBe(mail.subject);
    await registry.stop();
  });

  it('is one file for any number of sends, also concurrent ones', async () => {
    const registry = await open(dataDir, 'repeated');
    const mail = newMail();
    await Promise.all(Array.from({ length: 10 }, () => registry.send('file', mail, patience)));
    await registry.send('file', { ...mail, subject: 'The last one' }, patience);
    const directory = path.join(dataDir, 'mail', 'repeated');
    expect(await readdir(directory)).toEqual([`${mail.messageId}.eml`]);
    expect(parseMail(await readFile(path.join(directory, `${mail.messageId}.eml`))).subject).toBe('The last one');
    await registry.stop();
  });

  it('leaves nothing behind when it cannot be written', async () => {
    const registry = await open(dataDir, 'hindered');
    const mail = newMail();
    const directory = path.join(dataDir, 'mail', 'hindered');
    await mkdir(path.join(directory, `${mail.messageId}.eml`));
    const failure = { kind: 'retryable', code: 'MAIL_NOT_WRITTEN' };
    await expect(registry.send('file', mail, patience)).rejects.toMatchObject(failure);
    expect(await readdir(directory)).toEqual([`${mail.messageId}.eml`]);
    await rm(directory, { recursive: true });
    await expect(registry.send('file', mail, patience)).rejects.toMatchObject(failure);
    await registry.stop();
  });

  it('is cleared of partial files that a crash left more than an hour ago', async () => {
    const directory = path.join(dataDir, 'mail', 'crashed');
    await mkdir(directory, { recursive: true });
    const names = ['old.eml.1.part', 'young.eml.2.part', 'old.eml'];
    for (const name of names) await writeFile(path.join(directory, name), 'half');
    const before = new Date(Date.now() - 3_700_000);
    for (const name of ['old.eml.1.part', 'old.eml']) await utimes(path.join(directory, name), before, before);
    await (await open(dataDir, 'crashed')).stop();
    expect((await readdir(directory)).sort()).toEqual(['old.eml', 'young.eml.2.part']);
  });
});

describeWithSmallDisk('mail in files on a small disk', (start) => {
  let disk: SmallDisk;
  beforeAll(async () => {
    disk = await start(4);
  });
  afterAll(() => disk.stop());

  it('is sent again when the disk was full, and no partial file is visible before', async () => {
    const registry = await open(disk.path);
    const mail = newMail();
    await disk.fill();
    await expect(registry.send('file', mail, patience)).rejects.toMatchObject({
      kind: 'retryable',
      code: 'MAIL_NOT_WRITTEN',
    });
    const directory = path.join(disk.path, 'mail', 'letters');
    expect(await readdir(directory)).toEqual([]);
    await disk.clear();
    await registry.send('file', mail, patience);
    expect(parseMail(await readFile(path.join(directory, `${mail.messageId}.eml`))).attachments).toHaveLength(1);
    await registry.stop();
  });
});
