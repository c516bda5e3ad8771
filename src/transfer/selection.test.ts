import { describe, expect, it } from '@jest/globals';
import { selectionOf } from './selection.ts';

const ends = [0, 1].map((partition) => ({ topic: 'music.catalog', partition, offset: 10 }));

describe('a selection', () => {
  it('is the whole log without options', () => {
    expect(selectionOf({}, ends)).toEqual({
      ranges: ends.map(({ topic, partition }) => ({ topic, partition, from: 0, to: 10 })),
      since: undefined,
      before: undefined,
      types: undefined,
    });
  });

  it('bounds only the partitions that positions name, and never beyond the end', () => {
    const { ranges } = selectionOf(
      { from: ['music.catalog/1@4'], to: ['music.catalog/1@99', 'music.catalog/0@3'] },
      ends,
    );
    expect(ranges.map(({ from, to }) => [from, to])).toEqual([[0, 3], [4, 10]]); // prettier-ignore
  });

  it.each([
    ['2026-11-30', '2026-11-30T00:00:00.000Z'],
    ['2026-11-30T08:00', '2026-11-30T08:00:00.000Z'],
    ['2026-11-30T08:00:01.5Z', '2026-11-30T08:00:01.500Z'],
    ['2026-11-30T08:00+02:00', '2026-11-30T06:00:00.000Z'],
  ])('reads the time %s as %s', (text, time) => {
    expect(selectionOf({ from: [text], to: [text] }, ends)).toMatchObject({ since: time, before: time });
  });

  it('takes types with and without the namespace, sorted', () => {
    const { types } = selectionOf({ type: ['SongCreated,AlbumCreated', 'openmusic.SongCreated'] }, ends);
    expect(types).toEqual(['openmusic.AlbumCreated', 'openmusic.SongCreated']);
  });

  it.each([
    [{ from: ['yesterday'] }, '--from yesterday is neither a time'],
    [{ to: ['2026-02-30T25:00Z'] }, '--to 2026-02-30T25:00Z is neither a time'],
    [{ from: ['2026-11-29', '2026-11-30'] }, '--from takes one time at most'],
    [{ from: ['music.catalog/7@1'] }, 'There is no music.catalog/7.'],
    [{ from: ['music.catalog@1'] }, 'music.catalog@1 is not a position'],
    [{ type: ['Nothing'] }, 'There is no event type openmusic.Nothing'],
  ])('refuses %j', (options, message) => {
    expect(() => selectionOf(options, ends)).toThrow(message);
  });
});
