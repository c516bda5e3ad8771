import { readFile } from 'node:fs/promises';
import { hash, verify } from '@node-rs/argon2';
import { describe, expect, it } from '@jest/globals';
import { createPasswords } from './passwords.ts';

const PHC = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/;

describe('the hash of a password', () => {
  it('is argon2id with OWASP’s minimum parameters, in PHC format, with its own salt', async () => {
    const passwords = createPasswords();
    const [one, other] = await Promise.all([passwords.hash('secret'), passwords.hash('secret')]);
    const [first, second] = [PHC.exec(one), PHC.exec(other)];
    expect([one, other]).toEqual([expect.stringMatching(PHC), expect.stringMatching(PHC)]);
    expect(first?.[1]).not.toBe(second?.[1]);
  });

  it('matches its password and no other', async () => {
    const passwords = createPasswords();
    const hashed = await passwords.hash('sécrèt 🎵');
    expect(await passwords.matches('sécrèt 🎵', hashed)).toBe(true);
    expect(await passwords.matches('secret 🎵', hashed)).toBe(false);
  });
});

describe('a password in another Unicode form', () => {
  const [composed, decomposed] = ['s\u00e9same', 'se\u0301same'];

  it('matches', async () => {
    const passwords = createPasswords();
    for (const [given, typed] of [
      [composed, decomposed],
      [decomposed, composed],
    ] as const)
      expect(await passwords.matches(typed, await passwords.hash(given))).toBe(true);
  });

  it('still matches a hash of an earlier version, which was made of the text as typed', async () => {
    const passwords = createPasswords();
    const old = await hash(decomposed);
    expect([await passwords.matches(decomposed, old), await passwords.matches(composed, old)]).toEqual([true, false]);
    expect(await passwords.matches(decomposed, await hash(composed))).toBe(true);
  });
});

describe('without a hash to compare with', () => {
  /** Every call of argon2, without its random parts. */
  function recorded() {
    const calls: string[] = [];
    const shape = (phc: string) => phc.replace(PHC, (_, salt: string, sum: string) => `${salt.length} ${sum.length}`);
    const parameters = (phc: string) => phc.slice(0, phc.lastIndexOf('p=1'));
    const argon2 = {
      hash: (...given: Parameters<typeof hash>) => (calls.push('hash'), hash(...given)),
      verify: (...given: Parameters<typeof verify>) => {
        const against = String(given[0]);
        calls.push(`verify ${String(given[1])} against ${parameters(against)} ${shape(against)}`);
        return verify(...given);
      },
    };
    return { calls, passwords: createPasswords({ argon2 }) };
  }

  it('does the same work as with one', async () => {
    const { calls, passwords } = recorded();
    const hashed = await passwords.hash('secret');
    calls.length = 0;
    expect(await passwords.matches('wrong!', hashed)).toBe(false);
    const wrong = calls.splice(0);
    expect(await passwords.matches('wrong!', undefined)).toBe(false);
    expect(calls).toEqual(wrong);
    expect(wrong).toEqual(['verify wrong! against $argon2id$v=19$m=19456,t=2, 22 43']);
  });

  it('matches no password', async () => {
    expect(await createPasswords().matches('no account has this password', undefined)).toBe(false);
  });
});

/** An argon2 whose calls finish when the test says so. */
function held() {
  const begun: PromiseWithResolvers<boolean>[] = [];
  const verifying = () => {
    const work = Promise.withResolvers<boolean>();
    begun.push(work);
    return work.promise;
  };
  return { begun, argon2: { hash: () => Promise.resolve('$'), verify: verifying } };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the queue', () => {
  it('runs as many at once as configured, and the others in order', async () => {
    const { begun, argon2 } = held();
    const passwords = createPasswords({ argon2, concurrency: 2 });
    const order: number[] = [];
    const all = [0, 1, 2, 3].map((n) => passwords.matches('x', '$').then(() => order.push(n)));
    await turn();
    expect(begun).toHaveLength(2);
    begun[1]?.resolve(true);
    await turn();
    expect(begun).toHaveLength(3);
    for (const which of [2, 3, 0]) {
      begun[which]?.resolve(true);
      await turn();
    }
    await Promise.all(all);
    expect(order).toEqual([1, 2, 3, 0]);
  });

  it('has a limit, and a refusal says when to retry', async () => {
    const { begun, argon2 } = held();
    const passwords = createPasswords({ argon2, concurrency: 1, capacity: 2 });
    const first = [1, 2, 3].map(() => passwords.matches('x', '$'));
    await turn();
    const refused = { kind: 'unavailable', code: 'TOO_MANY_LOGINS', retryAfter: 5 };
    await expect(passwords.matches('x', '$')).rejects.toMatchObject(refused);
    await expect(passwords.matches('x', undefined)).rejects.toMatchObject(refused);
    await expect(passwords.hash('x')).rejects.toMatchObject(refused);
    begun[0]?.resolve(true);
    await turn();
    const late = passwords.matches('x', '$');
    for (const which of [1, 2, 3]) {
      begun[which]?.resolve(true);
      await turn();
    }
    expect(await Promise.all([...first, late])).toEqual([true, true, true, true]);
  });

  it('checks the claim again when its turn comes', async () => {
    const { begun, argon2 } = held();
    const passwords = createPasswords({ argon2, concurrency: 1 });
    const first = passwords.matches('x', '$');
    let allowed = true;
    const mayBegin = () => (allowed ? Promise.resolve() : Promise.reject(new Error('too many')));
    const second = passwords.matches('x', '$', { sender: 'a', mayBegin });
    await turn();
    allowed = false;
    begun[0]?.resolve(true);
    expect(await first).toBe(true);
    await expect(second).rejects.toThrow('too many');
    expect(begun).toHaveLength(1);
  });

  it('continues after a failure', async () => {
    const { begun, argon2 } = held();
    const passwords = createPasswords({ argon2, concurrency: 1 });
    const [failing, next] = [passwords.matches('x', '$'), passwords.matches('x', '$')];
    const failed = expect(failing).rejects.toThrow('broken');
    await turn();
    begun[0]?.reject(new Error('broken'));
    await failed;
    await turn();
    begun[1]?.resolve(true);
    expect(await next).toBe(true);
  });
});

describe('while passwords are hashed', () => {
  it('the event loop is not blocked', async () => {
    let turned = false;
    setImmediate(() => (turned = true));
    await createPasswords().hash('secret');
    expect(turned).toBe(true);
  });

  it('a file can be read, however many passwords wait', async () => {
    const passwords = createPasswords();
    let hashed = 0;
    const all = Array.from({ length: 20 }, async () => (await passwords.hash('secret'), hashed++));
    await turn();
    await readFile(new URL(import.meta.url));
    expect(hashed).toBeLessThan(8); // it would be almost all if they held every thread
    await Promise.all(all);
  });
});
