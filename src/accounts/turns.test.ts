import { describe, expect, it } from '@jest/globals';
import type { AppError } from '../errors.ts';
import { createTurns, type Turn } from './turns.ts';

/** Works that end when they are told to, and what became of them in order. */
function workshop(capacity: number) {
  const inTurn = createTurns(1, capacity);
  const ends: (() => void)[] = [];
  const told: string[] = [];
  const begin = (name: string, turn: Turn): void => {
    inTurn(turn, () => {
      told.push(name);
      return new Promise<void>((resolve) => ends.push(resolve));
    }).catch((error: unknown) => told.push(`${name} ${(error as AppError).code}`));
  };
  async function finishAll(): Promise<string[]> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await new Promise(setImmediate);
      if (ends.length > 0) quiet = 0;
      ends.shift()?.();
    }
    return told.splice(0);
  }
  return { begin, finishAll };
}

describe('those who wait for a hash', () => {
  it('take turns by sender: one that sends many holds up only itself', async () => {
    const { begin, finishAll } = workshop(10);
    for (const n of [1, 2, 3, 4]) begin(`many ${n}`, { sender: 'many' });
    begin('other', { sender: 'other' });
    expect(await finishAll()).toEqual(['many 1', 'many 2', 'other', 'many 3', 'many 4']);
  });

  it('go first where their address logged in before', async () => {
    const { begin, finishAll } = workshop(10);
    for (const n of [1, 2, 3]) begin(`new ${n}`, { sender: `new ${n}` });
    begin('known', { sender: 'known', isKnown: true });
    expect(await finishAll()).toEqual(['new 1', 'known', 'new 2', 'new 3']);
  });

  it('get every fourth turn, however many known ones come', async () => {
    const { begin, finishAll } = workshop(20);
    for (const n of [1, 2]) begin(`new ${n}`, { sender: 'new' });
    for (const n of [1, 2, 3, 4, 5]) begin(`known ${n}`, { sender: 'known', isKnown: true });
    expect((await finishAll()).indexOf('new 2')).toBe(4);
  });

  it('are so many and no more: the last of the longest line is refused', async () => {
    const { begin, finishAll } = workshop(3);
    for (const n of [1, 2, 3, 4, 5]) begin(`many ${n}`, { sender: 'many' });
    for (const n of [1, 2]) begin(`other ${n}`, { sender: 'other' });
    begin('third', { sender: 'third' });
    begin('fourth', { sender: 'fourth' });
    begin('known', { sender: 'many', isKnown: true });
    const all = await finishAll();
    expect(all.filter((each) => !each.includes(' TOO'))).toEqual(['many 1', 'known', 'other 1', 'third']);
    const refused = ['many 5', 'many 4', 'other 2', 'many 3', 'fourth', 'many 2'];
    expect(all.filter((each) => each.includes(' TOO')).sort()).toEqual(
      refused.sort().map((name) => `${name} TOO_MANY_LOGINS`),
    );
  });

  it('are dropped when their client has left, and are not begun when it left before', async () => {
    const { begin, finishAll } = workshop(2);
    const client = new AbortController();
    begin('first', { sender: 'a' });
    begin('leaves', { sender: 'b', signal: client.signal });
    begin('stays', { sender: 'c' });
    client.abort();
    begin('has left', { sender: 'd', signal: client.signal });
    begin('takes the place', { sender: 'e' });
    const all = await finishAll();
    expect(all.filter((each) => !each.endsWith('LEFT'))).toEqual(['first', 'stays', 'takes the place']);
    expect(all.filter((each) => each.endsWith('LEFT')).sort()).toEqual(['has left CLIENT_LEFT', 'leaves CLIENT_LEFT']);
  });
});
