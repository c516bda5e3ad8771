import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import type { Files } from '../providers/files/files.ts';
import type { Breakers } from './breakers.ts';
import { guardedFiles, isFilesOutage } from './guarded-files.ts';

const coded = (code: string) => Object.assign(new Error(`read ${code}`), { code });
const answered = (httpStatusCode?: number) => Object.assign(new Error('S3'), { $metadata: { httpStatusCode } });

const breakers: Pick<Breakers, 'call'> = { call: (_name, signal, act) => act(signal) };

/** The error that an attempt gets from a store with this failure. */
function failing(error: Error) {
  const fail = () => Promise.reject(error);
  const store = { put: fail, putFile: fail, open: fail, remove: fail } as unknown as Files;
  const files = guardedFiles(store, breakers, 'files:s3');
  return [files.put('a', Buffer.of(), ''), files.putFile('a', 'b', ''), files.open('a'), files.remove('a')] as const;
}

async function areAway(error: Error) {
  const outcomes = await Promise.allSettled(failing(error));
  return outcomes.map((outcome) => outcome.status === 'rejected' && isFilesOutage(outcome.reason));
}

describe('a store of files', () => {
  it.each([
    ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EIO'],
  ])('counts as unavailable when it fails with %s', async (code) => {
    expect(await areAway(coded(code))).toEqual(Array(4).fill(true));
    expect(isFilesOutage(coded(code))).toBe(false); // it can be of another server
  });

  it('counts as unavailable when it does not answer', async () => {
    expect(await areAway(Object.assign(new Error('socket timed out'), { name: 'TimeoutError' }))).toEqual(
      Array(4).fill(true),
    );
  });

  it.each([undefined, 408, 429, 500, 503])('counts as unavailable when it answers %p', async (status) => {
    expect(await areAway(answered(status))).toEqual(Array(4).fill(true));
  });

  it.each([coded('ENOENT'), coded('ERR_INVALID_ARG_TYPE'), answered(400), answered(403), new TypeError('x')])(
    'that refuses is there: %p',
    async (error) => expect(await areAway(error)).toEqual(Array(4).fill(false)),
  );

  it.each([
    ['before the first byte', () => Promise.reject(coded('ETIMEDOUT'))],
    ['in the middle', () => Promise.resolve(Readable.from(brokenOff()))],
  ])('counts as unavailable when it breaks off %s of a file', async (_, read) => {
    const file = { size: 2, read, close: () => Promise.resolve() };
    const files = guardedFiles({ open: () => Promise.resolve(file) } as unknown as Files, breakers, 'files:s3');
    const error: unknown = await wholeOf(files).catch((thrown: unknown) => thrown);
    expect(isFilesOutage(error)).toBe(true);
  });
});

const wholeOf = async (files: Files) => text(await (await files.open('a'))!.read());

async function* brokenOff() {
  yield 'a';
  await Promise.resolve();
  throw coded('ECONNRESET');
}
