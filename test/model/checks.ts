import { decodeEvent } from '../../src/events/codec.ts';
import type { StoredRecord } from '../../src/events/record.ts';
import { HISTORY } from './adoption.ts';
import { basisOf } from './decider.ts';
import type { Row } from './postgres.ts';
import type { World } from './world.ts';

/** A winner by the test's own implementation of the rule. */
interface Winner {
  readonly id: string;
  readonly commandId: string;
  readonly record: StoredRecord;
}

type Truth = ReadonlyMap<string, readonly Winner[]>;

/** The first violation in the world, now that the whole log is visible; undefined if there is none. */
export function findViolation(world: World): string | undefined {
  const all = replay(world, () => Infinity);
  return (
    world.violation ??
    effectsOf(all) ??
    acknowledgedOf(world, all) ??
    tornOf(all) ??
    chainOf(world) ??
    differenceOf(
      world,
      replay(world, (where) => world.postgres.checkpoint(where).next),
    ) ??
    secondOf(world) ??
    fenceOf(world, all)
  );
}

/** The second database is built from the same log. */
function secondOf({ adopter }: World): string | undefined {
  if (!adopter) return undefined;
  return (
    chainOf(adopter) ??
    differenceOf(
      adopter,
      replay(adopter, (where) => adopter.postgres.checkpoint(where).next),
    )
  );
}

/** The former owner has applied nothing from the record on by which it lost the partition. */
function fenceOf({ adopter, postgres, placement, partitions }: World, truth: Truth): string | undefined {
  if (!adopter) return undefined;
  const behind = partitions.find((where) => {
    const fence = truth.get(placement.genesisOf(where))?.[HISTORY.length];
    return fence && postgres.checkpoint(where).next > fence.record.offset;
  });
  return behind && `the earlier owner has applied what stands behind the fence of partition ${behind.partition}`;
}

/** The rule again, in its simplest form: a record wins if its version and its prev follow the last winner of its stream. */
function replay({ log, partitions }: World, upTo: (where: StoredRecord) => number): Truth {
  const truth = new Map<string, Winner[]>();
  for (const where of partitions) {
    for (const record of log.records(where)) {
      if (record.offset >= upTo(record)) break;
      const { ce_id: id = '', ce_commandid: commandId = '', ce_prev, ce_streamversion } = record.headers;
      const winners = truth.get(record.key) ?? [];
      const follows = ce_streamversion === `${winners.length + 1}` && ce_prev === (winners.at(-1)?.id ?? '');
      if (follows) truth.set(record.key, [...winners, { id, commandId, record }]);
    }
  }
  return truth;
}

function effectsOf(truth: Truth): string | undefined {
  const seen = new Set<string>();
  for (const { commandId } of [...truth.values()].flat()) {
    if (seen.has(commandId)) return `command ${commandId} took effect twice`;
    seen.add(commandId);
  }
  return undefined;
}

function acknowledgedOf({ acknowledged, refused }: World, truth: Truth): string | undefined {
  for (const { stream, version, recordId, commandId } of acknowledged) {
    const winner = truth.get(stream)?.[version - 1];
    if (winner?.id !== recordId || winner.commandId !== commandId)
      return `${recordId} was acknowledged and is not accepted`;
  }
  const effects = new Set([...truth.values()].flat().map(({ commandId }) => commandId));
  const wrong = refused.find((commandId) => effects.has(commandId));
  return wrong && `command ${wrong} was refused and took effect`;
}

/** Every event lists the events from which its state was folded: they must be those before it. */
function tornOf(truth: Truth): string | undefined {
  for (const [stream, winners] of truth) {
    if (stream.startsWith('genesis-')) continue;
    const labels: string[] = [];
    for (const { record } of winners) {
      const event = decodeEvent(record.headers.ce_type ?? '', record.value);
      if (basisOf(event) !== labels.join(' '))
        return `${stream} version ${labels.length + 1} was decided on a torn state`;
      labels.push('name' in event ? (event.name.split(' ')[0] ?? '') : '');
    }
  }
  return undefined;
}

/** Each commit begins where the one before ended. */
function chainOf({ postgres, log, partitions }: World): string | undefined {
  for (const where of partitions) {
    let next = 0;
    for (const { from, to, partition } of postgres.tables.moves) {
      if (partition !== where.partition) continue;
      if (from.next !== next) return `a commit from ${from.next} follows one to ${next}`;
      next = to.next;
    }
    if (next > log.end(where)) return `the checkpoint ${next} is past the end of the log`;
  }
  return undefined;
}

/** The tables of Postgres equal a replay up to the checkpoint. */
function differenceOf({ postgres }: World, truth: Truth): string | undefined {
  const { streams, quarantine } = postgres.tables;
  for (const stream of new Set([...streams.keys(), ...truth.keys()])) {
    const live = postgres.tables.rowsOf(stream);
    const replayed = truth.get(stream) ?? [];
    const same = live.length === replayed.length && live.every((row, index) => isRow(row, index, replayed[index]!));
    if (!same) return `${stream} has ${live.length} versions, a replay gives ${replayed.length}, or others`;
    const closed = quarantine.get(stream)?.version ?? Infinity;
    const wrong = live.find(({ envelope: { version }, payload }) => payload !== payloadAt(version, closed));
    if (wrong)
      return `${stream} version ${wrong.envelope.version} is ${wrong.payload}, and its stream closed at ${closed}`;
  }
  return undefined;
}

function isRow({ envelope, position }: Row, index: number, { id, record }: Winner): boolean {
  return envelope.version === index + 1 && envelope.id === id && position.offset === record.offset;
}

function payloadAt(version: number, closed: number): Row['payload'] {
  if (version === closed) return 'poison';
  return version < closed ? 'applied' : 'kept';
}
