import { describe, expect, it } from '@jest/globals';
import type { Database } from './postgres/pool.ts';
import { mailProbe } from './probes.ts';

const probeOf = (open: string[], providers: string[]) =>
  mailProbe(
    { admin: { query: () => Promise.resolve(open.map((name) => ({ name }))) } as unknown as Database },
    providers,
  );

describe('the probe of mail', () => {
  it.each([
    ['nothing fails', [], ['smtp'], true, 'smtp: ok'],
    ['another kind of provider fails', ['files:s3'], ['smtp', 'file'], true, 'smtp: ok; file: ok'],
    ['one of two fails', ['mail:smtp'], ['smtp', 'file'], false, 'smtp: keeps failing and is left alone; file: ok'],
    ['a provider fails that is no longer enabled', ['mail:webhook'], ['file'], true, 'file: ok'],
  ])('shows the state when %s', async (_, open, providers, ok, detail) => {
    const probe = probeOf(open, providers);
    expect([probe.needed, await probe.check()]).toEqual(['never', { ok, detail }]);
  });
});
