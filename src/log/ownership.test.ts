import { describe, expect, it } from '@jest/globals';
import { readEnvelope } from '../events/envelope.ts';
import type { OwnerChanged } from '../events/genesis.ts';
import { createPlacement } from '../events/placement.ts';
import { ownerRecord } from './genesis.ts';
import type { LogIdentity } from './identity.ts';
import { createOwnership, refusalOf } from './ownership.ts';

const [me, other] = [
  { systemIdentifier: '7512345678901234567', databaseOid: '16384' },
  { systemIdentifier: '7598765432109876543', databaseOid: '5' },
];
const noted = (more: Partial<LogIdentity>): LogIdentity => ({
  incarnation: 'i',
  initialised: true,
  owner: me,
  owned: true,
  ...more,
});
const refusal = (identity: LogIdentity | undefined, madeBy?: typeof me | null, readOnly = false) =>
  refusalOf({ me, readOnly }, identity, madeBy);

describe('a database on the log of a broker', () => {
  it('is accepted when there is no log yet, when it is the owner, and when it made the log and lost its tables', () => {
    expect(refusal(undefined)).toBeUndefined();
    expect(refusal(noted({}), other)).toBeUndefined();
    expect(refusal(undefined, me)).toBeUndefined();
  });

  it.each([
    [
      'never seen',
      undefined,
      other,
      /has never seen this log.*7598765432109876543\/5.*READ_ONLY=on.*another NAMESPACE/,
    ],
    ['never seen, of no owner', undefined, null, /has never seen this log, which was made by no database/],
    ['under another identity', noted({ owner: other }), other, /restored from a dump, or upgraded.*--claim/],
    ['of an embedded log', noted({ owner: null }), null, /--claim/],
    [
      'of another owner',
      noted({ owner: other, owned: false }),
      other,
      /belongs to the database.*READ_ONLY=on.*--fence/,
    ],
  ] as const)('is refused, with the way on: %s', (_, identity, madeBy, words) => {
    expect(refusal(identity, madeBy)).toMatch(words);
  });

  it('can follow any log but its own', () => {
    expect(refusal(undefined, other, true)).toBeUndefined();
    expect(refusal(noted({ owner: other, owned: false }), other, true)).toBeUndefined();
    expect(refusal(noted({ owner: other }), other, true)).toBeUndefined(); // restored, and not claimed
    expect(refusal(noted({}), me, true)).toMatch(/without READ_ONLY/);
  });
});

describe('the owner', () => {
  const placement = createPlacement('music', 2);
  const where = { topic: 'music.catalog', partition: 1 };
  const change = (owner: typeof me, version: number, stream = where) => {
    const event: OwnerChanged = {
      type: 'OwnerChanged',
      incarnation: 'i',
      ...stream,
      owner,
      previousOwner: null,
      reason: 'adopted',
      at: '2026-01-01T00:00:00.000Z',
    };
    const record = {
      ...ownerRecord(placement, event, { version: version - 1, id: '' }),
      ...where,
      offset: 9,
      leaderEpoch: 0,
    };
    const reading = readEnvelope(record);
    if (reading.kind !== 'ours') throw new Error(reading.reason);
    return [{ ...reading.envelope, stream: placement.genesisOf(where) }, record] as const;
  };
  const ownership = (since: number) =>
    createOwnership({ me, placement, since: new Map([['music.catalog/1', since]]), onChange: () => Promise.resolve() });

  it('loses the log by a change to another owner, and by no other record', () => {
    expect(ownership(1).changeBy(...change(other, 2))).toMatchObject({ owner: other, reason: 'adopted' });
    expect(ownership(1).changeBy(...change(me, 2))).toBeUndefined();
    const [claim, record] = change(other, 2);
    expect(ownership(1).changeBy({ ...claim, stream: 'album-1' }, record)).toBeUndefined();
    expect(ownership(1).changeBy({ ...claim, type: 'openmusic.AlbumCreated' }, record)).toBeUndefined();
    expect(ownership(1).changeBy(claim, { ...record, value: Buffer.from('x') })).toBeUndefined();
  });

  it('ignores changes from before it got the log back', () => {
    expect(ownership(3).changeBy(...change(other, 2))).toBeUndefined();
    expect(ownership(3).changeBy(...change(other, 3))).toBeUndefined();
    expect(ownership(3).changeBy(...change(other, 4))).toMatchObject({ owner: other });
  });
});
