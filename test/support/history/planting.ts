import { encodeEvent, subjectOf } from '../../../src/events/codec.ts';
import { toRecord } from '../../../src/events/envelope.ts';
import type { AnyEvent } from '../../../src/events/events.ts';
import { newId } from '../../../src/events/ids.ts';
import type { StoredRecord } from '../../../src/events/record.ts';
import type { History, Operation, Outcome } from './history.ts';

/** Faults for a recorded history and its log, to test that they are found. The arguments are not changed. */
export interface Planting {
  /** The records of an existing album with at least two changes, in the order of its versions. */
  readonly living: readonly StoredRecord[];
  /** The records of a deleted album. */
  readonly deleted: readonly StoredRecord[];
  /** The operation of a record. */
  maker(record: StoredRecord): Operation;
  /** The first such operation; fails when the load was too short to have one. */
  some(is: (operation: Operation) => boolean): Operation;
  /** With one operation replaced. */
  replacing(operation: Operation, by: Partial<Operation>): History;
  /** With this outcome for all attempts of the operation. */
  answered(operation: Operation, outcome: Outcome): History;
  /** With more operations. */
  adding(...operations: Operation[]): History;
  /** A read of this version of an album, `at` milliseconds after everything else. */
  readOf(record: StoredRecord, at: number): Operation;
  /** The same answers once more, `at` milliseconds after everything else. */
  later(operation: Operation, at: number): Operation;
  /** Accepted records of a stream, in the order of its versions. */
  chain(stream: string): readonly StoredRecord[];
  /** The log with another event in a record that is the last of its stream. */
  rewritten(record: StoredRecord, event: AnyEvent): StoredRecord[];
  /** The log with one more record of the stream, as the last one of its partition. */
  forged(after: StoredRecord, forgery: Forgery): StoredRecord[];
  /** The log with a duplicate of the last record of a partition. */
  repeated(record: StoredRecord): StoredRecord[];
}

export interface Forgery {
  readonly event: AnyEvent;
  readonly version: number;
  readonly prev: string;
  readonly commandId?: string;
  readonly correlationId?: string;
  readonly actor?: string;
}

export const versionIn = ({ headers }: StoredRecord): number => Number(headers.ce_streamversion);
export const idIn = ({ headers }: StoredRecord): string => headers.ce_id ?? '';

export function plantIn(history: History, records: readonly StoredRecord[]): Planting {
  const { operations } = history;
  const last = Math.max(...operations.flatMap(({ attempts }) => attempts.map(({ end }) => end)));
  const some = (is: (operation: Operation) => boolean) => must(operations.find(is));
  const maker = ({ headers }: StoredRecord) =>
    some(({ attempts }) => attempts.some(({ id }) => id === headers.ce_correlationid));
  const replacing = (operation: Operation, by: Partial<Operation>): History => ({
    ...history,
    operations: operations.map((each) => (each === operation ? { ...each, ...by } : each)),
  });
  const chain = (stream: string) => chainOf(records.filter(({ key }) => key === stream));
  const chains = albumsWithoutSongs(history, records);
  return {
    living: must(chains.find((each) => each.length >= 3 && !isDeleted(each))),
    deleted: must(chains.find((each) => each.length >= 2 && isDeleted(each))),
    some,
    maker,
    replacing,
    chain,
    answered: (operation, outcome) =>
      replacing(operation, { attempts: operation.attempts.map((attempt) => ({ ...attempt, outcome })) }),
    adding: (...more) => ({ ...history, operations: [...operations, ...more] }),
    readOf: (record, at) => readOf(record, maker(record), last + at),
    later(operation, at) {
      const attempts = operation.attempts.map((each, n) => ({
        ...each,
        id: `planted at ${at}/${n}`,
        start: last + at,
        end: last + at + 0.5,
      }));
      return { ...operation, name: `planted at ${at}`, attempts };
    },
    rewritten: (record, event) =>
      records.with(records.indexOf(record), { ...record, ...forge(record, sameAs(record, event)) }),
    forged: (after, forgery) => appended(records, forge(after, forgery)),
    repeated: (record) => appended(records, record),
  };
}

function must<T>(found: T | undefined): T {
  if (found === undefined) throw new Error('The recorded history has nothing of the kind.');
  return found;
}

/** Accepted records of each album without songs, so that the expected read is known. */
function albumsWithoutSongs({ operations }: History, records: readonly StoredRecord[]): StoredRecord[][] {
  const named = new Set(operations.map(({ request }) => (request.json as { albumId?: string } | undefined)?.albumId));
  const albums = new Set(records.map(({ key }) => key).filter((key) => key.startsWith('album-') && !named.has(key)));
  return [...albums].map((album) => chainOf(records.filter(({ key }) => key === album)));
}

function chainOf(claims: readonly StoredRecord[]): StoredRecord[] {
  const chain: StoredRecord[] = [];
  for (const claim of claims) if (versionIn(claim) === chain.length + 1) chain.push(claim);
  return chain;
}

const isDeleted = (chain: readonly StoredRecord[]) => chain.at(-1)?.headers.ce_type === subjectOf('AlbumDeleted');

function readOf(record: StoredRecord, { request: { json } }: Operation, start: number): Operation {
  const body = { status: 'success', data: { album: { id: record.key, coverUrl: null, songs: [], ...json } } };
  const outcome = { kind: 'ok', status: 200, etag: `"${versionIn(record)}-x"`, replayed: false, body } as const;
  const attempt = { id: `planted at ${start}`, url: 'http://planted', start, end: start + 0.5, outcome };
  const request = { category: 'album', method: 'GET', path: `/albums/${record.key}` } as const;
  return { name: attempt.id, request, attempts: [attempt] };
}

const sameAs = ({ headers }: StoredRecord, event: AnyEvent): Forgery => ({
  event,
  version: Number(headers.ce_streamversion),
  prev: headers.ce_prev ?? '',
  actor: headers.ce_actor ?? '',
  commandId: headers.ce_commandid ?? '',
  correlationId: headers.ce_correlationid ?? '',
});

function forge(after: StoredRecord, { event, ...given }: Forgery): StoredRecord {
  const about = {
    actor: 'anonymous',
    correlationId: 'unrequested',
    causationId: newId(),
    bodyHash: '',
    commandId: newId(),
  };
  const time = new Date(0).toISOString();
  const envelope = { id: newId(), type: subjectOf(event.type), stream: after.key, time, ...about, ...given };
  return { ...after, ...toRecord(envelope, encodeEvent(event)) };
}

function appended(records: readonly StoredRecord[], record: StoredRecord): StoredRecord[] {
  const last = records.findLastIndex(
    ({ topic, partition }) => topic === record.topic && partition === record.partition,
  );
  return records.toSpliced(last + 1, 0, { ...record, offset: must(records[last]).offset + 1 });
}
