import { describe, expect, it } from '@jest/globals';
import type { Database } from './postgres/pool.ts';
import { mailProbe } from './probes.ts';

const lookAt = (open: string[], providers: string[]) =>
  mailProbe(
    { admin: { query: () => Promise.resolve(open.map((name) => ({ name }))) } as unknown as Database },
    providers,
  );

describe('the line for mail', () => {
  it.each([
    ['nothing fails', [], ['smtp'], true, 'smtp: ok'],
    ['what fails is no mail', ['files:s3'], ['smtp', 'file'], true, 'smtp: ok; file: ok'],
    ['one of two fails', ['mail:smtp'], ['smtp', 'file'], false, 'smtp: keeps failing and is left alone; file: ok'],
    ['one that is not enabled any more fails', ['mail:webhook'], ['file'], true, 'file: ok'],
  ])('says so when %s', async (_, open, providers, ok, detail) => {
    const probe = lookAt(open, providers);
    expect([probe.needed, await probe.check()]).toEqual(['never', { ok, detail }]);
  });
});
