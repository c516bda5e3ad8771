import { showPosition, type StoredRecord } from '../../../src/events/record.ts';
import { categoryOf } from '../../../src/events/ids.ts';
import { categories, categoryNamed } from './categories.ts';
import type { Attempt, Effect, History, Operation, Violation } from './history.ts';
import type { Accepted } from './rule.ts';
import { isFact, nameOf, type Stream, type World } from './world.ts';

/** Compares every request with the log, and every record of the log with the requests. */
export function checkEffects(history: History, records: readonly StoredRecord[], world: World): Violation[] {
  return [
    ...history.operations.flatMap((operation) => checkOperation(operation, world)),
    ...checkCommands(world),
    ...world.streams.flatMap(checkDecisions),
    ...checkOrigins(history, records),
  ];
}

function checkOperation(operation: Operation, world: World): Violation[] {
  const made = operation.attempts.flatMap(({ id }) => world.madeBy(id));
  const { effect } = operation.request;
  return [
    ...operation.attempts.flatMap((attempt) => checkAttempt(operation, attempt, made, world)),
    ...(made.length > 1 ? [doubled(`operation ${operation.name}`, made)] : []),
    ...made.flatMap((record) =>
      effect ? checkRecord(operation, effect, record) : [wrong(operation, record, 'a read')],
    ),
  ];
}

function checkAttempt(operation: Operation, attempt: Attempt, made: readonly Accepted[], world: World): Violation[] {
  const { outcome } = attempt;
  const own = world.madeBy(attempt.id);
  const name = nameOf(operation, attempt);
  if (!isExpected(operation, attempt)) return [unexpected(`${name} got ${JSON.stringify(outcome)}`)];
  if (outcome.kind === 'refused' && own.length > 0) {
    const message = `${name} was refused with ${outcome.status} ${outcome.code}; the log has ${own.map(show).join(' and ')}`;
    return [{ rule: 'refused-write-present', message }];
  }
  if (!operation.request.effect || outcome.kind !== 'ok' || own.length > 0) return [];
  if (made.length === 0) {
    const message = `${name} was acknowledged with ${outcome.status}; the log has no accepted record of it`;
    return [{ rule: 'lost-write', message }];
  }
  const others = `it made no record, its operation made ${made.map(show).join(' and ')}`;
  return outcome.replayed ? [] : [unexpected(`${name} is not marked as replayed; ${others}`)];
}

const unexpected = (message: string): Violation => ({ rule: 'unexpected-answer', message });

/** What a code says about the state at that moment is judged with the reads. */
const isExpected = ({ request: { effect, as } }: Operation, { outcome }: Attempt): boolean => {
  if (outcome.kind === 'ok') return true;
  if (outcome.kind === 'unknown') return outcome.status === undefined || outcome.status === 503;
  const ofWrites = [409, 412, 503, ...(as ? [400] : [])];
  return [404, ...(as ? [403] : []), ...(effect ? ofWrites : [])].includes(outcome.status);
};

function checkRecord(operation: Operation, { stream, event, follows }: Effect, record: Accepted): Violation[] {
  const created = operation.attempts.flatMap(({ outcome }) =>
    outcome.kind === 'ok' ? (categoryNamed(operation.request.category).created(outcome.body) ?? []) : [],
  );
  const streams = stream === undefined ? created : [stream];
  const actor = operation.request.as?.id ?? 'anonymous';
  const odd = Object.entries(event).find(([field, value]) => !says(record.event[field as 'type'], value));
  return [
    ...streams.flatMap((each) => (each === record.stream ? [] : [wrong(operation, record, `something of ${each}`)])),
    ...(odd ? [wrong(operation, record, `${odd[0]} ${JSON.stringify(odd[1])}`)] : []),
    ...(record.actor === actor ? [] : [wrong(operation, record, `something by ${actor}, not by ${record.actor}`)]),
    ...(follows === undefined || follows === record.version - 1
      ? []
      : [wrong(operation, record, `something after version ${follows}`)]),
  ];
}

/** Whether a value matches the request in every field that the request names. */
function says(value: unknown, asked: unknown): boolean {
  if (typeof asked !== 'object' || asked === null) return value === asked;
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(asked) && asked.length !== (value as unknown[]).length) return false;
  return Object.entries(asked).every(([field, part]) => says((value as Record<string, unknown>)[field], part));
}

/** A command has one effect, for any number of requests that carry it. */
function checkCommands(world: World): Violation[] {
  const byCommand = Map.groupBy(
    world.streams.flatMap(({ accepted }) => accepted),
    ({ commandId }) => commandId,
  );
  return [...byCommand].flatMap(([id, records]) => (records.length > 1 ? [doubled(`command ${id}`, records)] : []));
}

/** Every record follows from the state it was decided on, which is the one before it. */
function checkDecisions({ id, accepted, states }: Stream): Violation[] {
  const category = categories.find(({ name }) => name === categoryOf(id));
  return accepted.slice(0, states.length - 1).flatMap((record, before): Violation[] => {
    if (!category || !isFact(record) || category.allows(states[before], record)) return [];
    const state = states[before] ? JSON.stringify(states[before]) : 'nothing';
    return [{ rule: 'illegal-record', message: `${show(record)} by ${record.actor} was accepted upon ${state}` }];
  });
}

function checkOrigins({ operations }: History, records: readonly StoredRecord[]): Violation[] {
  const requests = new Set(operations.flatMap(({ attempts }) => attempts.map(({ id }) => id)));
  return records.flatMap((record): Violation[] => {
    const { ce_correlationid: origin = '' } = record.headers;
    if (record.offset === 0 || requests.has(origin)) return [];
    const message = `${showPosition(record)} of ${record.key} names the request ${origin}, which no client made`;
    return [{ rule: 'unrequested-record', message }];
  });
}

const show = ({ stream, version, event, record }: Accepted) =>
  `version ${version} of ${stream} at ${showPosition(record)}, ${JSON.stringify(event)}`;

const doubled = (what: string, records: readonly Accepted[]): Violation => ({
  rule: 'doubled-effect',
  message: `${what} has ${records.length} accepted records: ${records.map(show).join('; ')}`,
});

const wrong = ({ name, request }: Operation, record: Accepted, asked: string): Violation => ({
  rule: 'wrong-record',
  message: `operation ${name}, ${request.method} ${request.path}, asked for ${asked}; the log has ${show(record)}`,
});
