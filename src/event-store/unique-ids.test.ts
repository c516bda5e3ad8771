import { describe, expect, it } from '@jest/globals';
import { newId } from '../events/ids.ts';
import { UniqueIds } from './unique-ids.ts';

describe('unique ids', () => {
  it('finds nothing among different ids', () => {
    const ids = new UniqueIds();
    for (let count = 0; count < 5_000; count++) ids.add(newId());
    expect(ids.repeated()).toBeUndefined();
  });

  it('finds an id that occurs twice', () => {
    const ids = new UniqueIds();
    const [once, twice] = [newId(), newId()];
    for (const id of [twice, once, twice]) ids.add(id);
    expect([once, twice].map((id) => ids.repeated()?.(id))).toEqual([false, true]);
  });
});
