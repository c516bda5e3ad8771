import { afterEach, describe, expect, it } from '@jest/globals';
import type { Claim, Verdict } from './stream-store.ts';
import { createVerdicts, type Verdicts } from './verdicts.ts';

const stopping: Verdicts[] = [];
afterEach(async () => {
  for (const each of stopping.splice(0)) await each.stop();
});

/** A store whose verdicts the test sets, by record id. */
function open(pollMs = 60_000) {
  const known = new Map<string, Verdict>();
  const queries: string[][] = [];
  let failing = false;
  const verdicts = createVerdicts({
    pollMs,
    streams: {
      verdicts(claims) {
        queries.push(claims.map(({ recordId }) => recordId));
        if (failing) return Promise.reject(new Error('no connection'));
        return Promise.resolve(claims.map(({ recordId }) => known.get(recordId) ?? { kind: 'pending' }));
      },
    },
  });
  stopping.push(verdicts);
  return { verdicts, known, queries, fail: (yes: boolean) => void (failing = yes) };
}
const claim = (recordId: string): Claim => ({ topic: 't', partition: 0, stream: 'album-1', version: 1, recordId });
const recheck = { won: [], recheck: true };
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('verdicts', () => {
  it.each<Verdict>([
    { kind: 'won' },
    { kind: 'lost' },
    { kind: 'quarantined', reason: 'r' },
    { kind: 'stopped', reason: 'r' },
  ])('settle as $kind after a notice that asks for a recheck', async (verdict) => {
    const { verdicts, known } = open();
    const waiting = verdicts.verdictOn(claim('a'), 5_000);
    known.set('a', verdict);
    verdicts.onCommit(recheck);
    expect(await waiting).toEqual(verdict);
  });

  it('are won by a notice without a query, while others stay unknown', async () => {
    const { verdicts, queries } = open();
    const [mine, other] = ['a', 'b'].map((id) => verdicts.verdictOn(claim(id), 50));
    verdicts.onCommit({ won: ['c', 'a'], recheck: false });
    expect(await mine).toEqual({ kind: 'won' });
    expect(await other).toEqual({ kind: 'unknown' });
    expect(queries).toEqual([]);
  });

  it('come by the clock when every notice is lost', async () => {
    const { verdicts, known } = open(10);
    known.set('a', { kind: 'won' });
    expect(await verdicts.verdictOn(claim('a'), 5_000)).toEqual({ kind: 'won' });
  });

  it('are unknown after the wait, and no longer queried', async () => {
    const { verdicts, queries } = open(10);
    expect(await verdicts.verdictOn(claim('a'), 50)).toEqual({ kind: 'unknown' });
    const before = queries.length;
    verdicts.onCommit(recheck);
    await turn();
    expect(queries).toHaveLength(before);
  });

  it('are queried together, one query at a time', async () => {
    const { verdicts, known, queries } = open();
    const all = ['a', 'b', 'c'].map((id) => verdicts.verdictOn(claim(id), 5_000));
    for (let n = 0; n < 5; n++) verdicts.onCommit(recheck);
    await turn();
    expect(queries).toEqual([['a', 'b', 'c'], ['a', 'b', 'c']]); // prettier-ignore
    known.set('b', { kind: 'won' });
    verdicts.onCommit(recheck);
    expect(await all[1]).toEqual({ kind: 'won' });
    for (const id of ['a', 'c']) known.set(id, { kind: 'lost' });
    verdicts.onCommit(recheck);
    expect(await Promise.all(all)).toEqual([{ kind: 'lost' }, { kind: 'won' }, { kind: 'lost' }]);
    expect(queries.at(-1)).toEqual(['a', 'c']);
  });

  it('survive a failed query', async () => {
    const { verdicts, known, fail } = open(10);
    fail(true);
    const waiting = verdicts.verdictOn(claim('a'), 5_000);
    verdicts.onCommit(recheck);
    await turn();
    known.set('a', { kind: 'won' });
    fail(false);
    expect(await waiting).toEqual({ kind: 'won' });
  });

  it('are unknown for all claims when the process stops', async () => {
    const { verdicts } = open();
    const waiting = verdicts.verdictOn(claim('a'), 60_000);
    await verdicts.stop();
    expect(await waiting).toEqual({ kind: 'unknown' });
  });
});
