import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { reasonOf } from '../../src/errors.ts';
import { decodeEvent } from '../../src/events/codec.ts';
import { createPlacement } from '../../src/events/placement.ts';
import type { StoredRecord } from '../../src/events/record.ts';
import { isBlank, lastOffsetOf, type LogEntry, withMissing } from '../../src/log/entry.ts';
import { batchesIn, entriesOf as batchEntries } from '../../src/log/kafka/record-batch.ts';
import { entryOf } from '../../src/log/kafka/stored-record.ts';
import { readGenesis } from '../../src/log/genesis.ts';
import { voidIn } from '../../src/log/void-topic.ts';
import { voidTestOf } from '../../src/log/voids.ts';
import type { LogRules } from '../../src/event-store/arbitrate.ts';
import { createJudge, eventOf } from '../../src/event-store/judge.ts';
import { PartitionState } from '../../src/event-store/partition-state.ts';
import { batchBytes, packRecord } from '../support/stranger-batch.ts';
import { contentOf, fileOf, kit } from './files.ts';
import { type Bytes, type KitCase, type KitEntry, type KitVerdict, without } from './kit.ts';

const folder = new URL('../../schemas/conformance/', import.meta.url);
const files = Object.keys(kit) as (keyof typeof kit)[];

describe('the conformance kit', () => {
  it.each(files)('%s.json matches the output of `npm run conformance`', async (name) => {
    expect(readFileSync(fileOf(name), 'utf8')).toBe(await contentOf(name));
  });

  it('has no other files', () => {
    const written = readdirSync(folder).filter((name) => name.endsWith('.json'));
    expect(written).toEqual(files.map((name) => `${name}.json`));
  });

  it('covers every verdict and every reason', () => {
    const said = new Set(files.flatMap((name) => kit[name]).flatMap(({ judgement }) => judgement.map(kindOf)));
    expect([...said].sort()).toEqual(
      [
        ...['accepted', 'accepted avro', 'accepted checksum', 'accepted frame', 'accepted schema', 'accepted type'],
        ...['loser control', 'loser foreign', 'loser lost', 'loser void'],
        ...['stop corrupt', 'stop missing', 'stop unreadable'],
      ].sort(),
    );
  });
});

const kindOf = ({ verdict, reason, undecodable }: KitVerdict) =>
  [verdict, reason ?? undecodable].filter(Boolean).join(' ');

const read = (name: string) => (JSON.parse(readFileSync(fileOf(name), 'utf8')) as { cases: KitCase[] }).cases;

describe.each(files)('the judge of all consumers, on the cases of %s.json', (name) => {
  it.each(read(name))('$name', async (given) => {
    expect(await judge(given)).toEqual(given.judgement.map((verdict) => without('note', verdict)));
    if (given.opens !== undefined) expect(typeof (await opening(given)) === 'object').toBe(given.opens);
  });
});

/** Judges as the projector does: the classification of each record, and the payloads of accepted ones. */
async function judge(given: KitCase): Promise<KitVerdict[]> {
  const entries = await entriesOf(given);
  const state = new PartitionState(given, 1_000);
  const stops: string[] = [];
  const judging = createJudge({
    store: { heads: () => Promise.resolve(new Map()) },
    rules: () => rulesOf(given),
    stop: (_, reason) => Promise.resolve(void stops.push(reason)),
  });
  const from = { next: 0, fence: 0, fingerprint: '', leaderEpoch: 0 };
  const [judged] = await judging([{ state, from, records: entries }], false);
  const verdicts = [
    ...(judged?.accepted ?? []).map(({ record }) => ({
      ...spanOf(record),
      verdict: 'accepted' as const,
      ...payloadOf(record),
    })),
    ...(judged?.losers ?? []).map(({ record, reason }) => ({ ...spanOf(record), ...loser(reason) })),
  ].sort((one, other) => one.offset - other.offset);
  const next = entries[judged?.batch.records.length ?? 0];
  return next ? [...verdicts, { ...spanOf(next), verdict: 'stop', reason: stopOf(next) }] : verdicts;
}

/** What the projector does with a value, unless its stream was closed before. */
function payloadOf(record: StoredRecord): Pick<KitVerdict, 'undecodable' | 'payload'> {
  try {
    return { payload: without('type', eventOf(record, record.headers.ce_type ?? '')) };
  } catch (error) {
    return undecodable(reasonOf(error), record);
  }
}

const FAULTS: readonly [RegExp, NonNullable<KitVerdict['undecodable']>][] = [
  [/^the checksum of the value is wrong$/, 'checksum'],
  [/^the value is not in the Confluent frame$/, 'frame'],
  [/^schema id \d+ is unknown$/, 'schema'],
  [/ce_type says/, 'type'],
];

/** Postgres rejects NUL, the format does not. */
function undecodable(reason: string, record: StoredRecord): Pick<KitVerdict, 'undecodable' | 'payload'> {
  if (reason === 'a text of the event holds NUL') {
    return { payload: without('type', decodeEvent(record.headers.ce_type ?? '', record.value)) };
  }
  return { undecodable: FAULTS.find(([form]) => form.test(reason))?.[1] ?? 'avro' };
}

function loser(reason: string): Pick<KitVerdict, 'verdict' | 'reason'> {
  const REASONS: Readonly<Record<string, KitVerdict['reason']>> = {
    'declared void': 'void',
    'lost the race': 'lost',
    "a transaction's marker": 'control',
  };
  return { verdict: 'loser', reason: REASONS[reason] ?? 'foreign' };
}

const stopOf = (entry: LogEntry): KitVerdict['reason'] =>
  !isBlank(entry) ? 'corrupt' : entry.blank === 'missing' ? 'missing' : 'unreadable';

const spanOf = (entry: LogEntry) =>
  lastOffsetOf(entry) === entry.offset
    ? { offset: entry.offset }
    : { offset: entry.offset, lastOffset: lastOffsetOf(entry) };

const placementOf = ({ topic, partitions }: KitCase) => createPlacement(topic.replace(/\.\w+$/, ''), partitions);

function rulesOf(given: KitCase): LogRules {
  const { belongs } = placementOf(given);
  const declared = given.voids.map((value) => voidIn(bytesOf(value)));
  const voids = declared.flatMap((each) =>
    typeof each === 'object' && each.incarnation === given.incarnation ? [each] : [],
  );
  return { belongs, isVoid: voidTestOf(voids.map(({ lastOffset: last, ...each }) => ({ ...each, last }))) };
}

async function opening(given: KitCase) {
  const [first] = await entriesOf(given);
  return first && !isBlank(first) ? readGenesis(placementOf(given), first) : 'nothing is there';
}

const bytesOf = (value: { base64: string } | null | undefined) => Buffer.from(value?.base64 ?? '', 'base64');

/** The records as they come from a broker, each in its own batch. */
async function entriesOf(given: KitCase): Promise<readonly LogEntry[]> {
  const batches = batchesIn(Buffer.concat(given.entries.map(batchOf)));
  const entries = (await Promise.all(batches.map(batchEntries))).flat();
  const read = entries.map((entry) => entryOf(given, { entry, offset: String(entry.offset) }));
  return withMissing(0, read).map((entry) => ({ ...entry, topic: given.topic, partition: given.partition }));
}

function batchOf({ offset, lastOffset = offset, ...entry }: KitEntry): Buffer {
  const count = lastOffset - offset + 1;
  const codecs = { control: 0x20, unreadable: 0x07 };
  if (entry.blank) return batchBytes({ codec: codecs[entry.blank], count, packed: Buffer.alloc(0) }, offset);
  const headers = (entry.headers ?? []).map(([name, raw]) => [name, rawOf(raw)] as const);
  const value = entry.value ? bytesOf(entry.value) : null;
  return batchBytes({ count, packed: packRecord({ key: rawOf(entry.key ?? null), value, headers }) }, offset);
}

const rawOf = (bytes: Bytes) => (typeof bytes === 'object' && bytes !== null ? bytesOf(bytes) : bytes);
