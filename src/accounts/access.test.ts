import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { until } from '../../test/support/servers/waiting.ts';
import { followAccess, type LiveAccess } from './access.ts';
import { MAX_ACCESS_TOKEN_AGE } from './token-age.ts';

const followed: LiveAccess[] = [];
afterEach(async () => {
  await Promise.all(followed.splice(0).map((access) => access.stop()));
});

type Row = Record<string, unknown>;

/** Access over a table in memory that can be made unreachable. */
async function startAccess({ everyMs = 3_600_000, staleMs = 5_000, tokenAge = MAX_ACCESS_TOKEN_AGE } = {}) {
  const rows: Row[] = [];
  const table = { rows, isAway: false, asked: 0 };
  const query = ({ values: [after] = [] }: { values?: unknown[] }) => {
    table.asked++;
    if (table.isAway) return Promise.reject(new Error('away'));
    return Promise.resolve(rows.filter(({ id }) => Number(id) > Number(after)));
  };
  const database = { query } as unknown as Parameters<typeof followAccess>[0]['database'];
  const access = await followAccess({ database, report: () => undefined, tokenAge, everyMs, staleMs });
  followed.push(access);
  const change = async (row: Row) => {
    rows.push({
      id: rows.length + 1,
      account: 'user-1',
      version: null,
      role: null,
      session: null,
      neededMs: 60_000,
      ...row,
    });
    await access.recheck();
  };
  return { access, table, change };
}

const claim = { id: 'user-1', role: 'user', version: 3, sessionId: 'one' } as const;

describe('a token', () => {
  it('is valid with its own claims while nothing has changed', async () => {
    const { access } = await startAccess();
    expect(access.judge(claim)).toEqual({ id: 'user-1', role: 'user' });
  });

  it('gets the current role of its account, unless it was issued after the change', async () => {
    const { access, change } = await startAccess();
    await change({ version: 4, role: 'admin' });
    expect(access.judge(claim)?.role).toBe('admin');
    await change({ version: 5, role: 'user' });
    expect(access.judge(claim)?.role).toBe('user');
    expect(access.judge({ ...claim, version: 5, role: 'analytics' })?.role).toBe('analytics');
    expect(access.judge({ ...claim, id: 'user-2' })?.role).toBe('user');
  });

  it('is revoked with the tokens of its account, also when a role was granted since; a newer one stays valid', async () => {
    const { access, change } = await startAccess();
    await change({ version: 4 });
    await change({ version: 5, role: 'admin' });
    expect(access.judge(claim)).toBeUndefined();
    expect(access.judge({ ...claim, version: 4 })).toEqual({ id: 'user-1', role: 'admin' });
  });

  it('is revoked when its session ends; a token of another session stays valid', async () => {
    const { access, change } = await startAccess();
    await change({ session: 'one' });
    expect(access.judge(claim)).toBeUndefined();
    expect(access.judge({ ...claim, sessionId: 'other' })).toBeDefined();
    expect(access.judge({ ...claim, sessionId: undefined })).toBeDefined();
  });
});

describe('a process', () => {
  it('reads changes periodically, and calls its listeners', async () => {
    const { access, table, change } = await startAccess({ everyMs: 1 });
    let calls = 0;
    const unsubscribe = access.onChange(() => calls++);
    const { asked } = table;
    await until(
      () => Promise.resolve(table.asked > asked + 3),
      10_000,
      () => 'it did not ask',
    );
    expect(calls).toBe(0);
    await change({ session: 'one' });
    expect(calls).toBe(1);
    unsubscribe();
    await change({ session: 'other' });
    expect(calls).toBe(1);
  });

  it('is not current without an answer for too long, until the next answer', async () => {
    const { access, table } = await startAccess({ everyMs: 1, staleMs: 50 });
    expect(access.isCurrent()).toBe(true);
    table.isAway = true;
    await until(
      () => Promise.resolve(!access.isCurrent()),
      10_000,
      () => 'it did not ask',
    );
    table.isAway = false;
    await until(
      () => Promise.resolve(access.isCurrent()),
      10_000,
      () => 'it did not ask',
    );
  });

  it('drops changes that concern no valid token any more', async () => {
    const { access, change } = await startAccess();
    await change({ session: 'one', neededMs: -1 });
    expect(access.judge(claim)).toBeDefined();
  });

  it('keeps a change as long as an older token may still be valid', async () => {
    const clock = jest.spyOn(performance, 'now').mockReturnValue(0);
    const { access, change } = await startAccess({ tokenAge: 60 });
    await change({ session: 'one', neededMs: MAX_ACCESS_TOKEN_AGE * 1_000 });
    const isOverAt = async (ms: number) => {
      clock.mockReturnValue(ms);
      await access.recheck();
      return access.judge(claim) === undefined;
    };
    expect([await isOverAt(60_000), await isOverAt(300_000), await isOverAt(400_000)]).toEqual([true, true, false]);
    clock.mockRestore();
  });
});
