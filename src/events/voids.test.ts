import { expect, it } from '@jest/globals';
import { decodeEvent } from './codec.ts';
import { voidRecord } from './voids.ts';

it('publishes a void under its position, in a value that needs no header', () => {
  const where = { topic: 'openmusic.catalog', partition: 3, offset: 128 };
  const lastOffset = 130;
  const voided = {
    type: 'PositionVoided',
    incarnation: '1b4e28ba-2fa1-41d2-883f-0016d3cca427',
    ...where,
    lastOffset,
    reason: 'a disk lied',
    at: '2026-11-22T21:06:18.353Z',
  } as const;
  const { key, value } = voidRecord(voided);
  expect(key).toBe('openmusic.catalog/3@128');
  expect(decodeEvent('openmusic.PositionVoided', value)).toEqual(voided);
});
