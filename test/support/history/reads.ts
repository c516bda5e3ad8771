import { reasonOf } from '../../../src/errors.ts';
import { categoryNamed } from './categories.ts';
import { absent, type Observation, versionOf } from './category.ts';
import type { Attempt, History, Operation, Violation } from './history.ts';
import { createKnownVersions, type KnownBefore, type KnownVersions } from './known-versions.ts';
import { beginnings, nameOf, type Stream, type World } from './world.ts';

/** One answer and its consequences. */
interface Answer {
  readonly operation: Operation;
  readonly attempt: Attempt;
}

/**
 * Checks every answer against the versions that it can come from: none older than what any client was told before it began,
 * none whose request had not begun when it ended. Answers are taken in the order in which they ended, so that everything
 * known at a moment is known when an answer that began then is judged. A read that began after `settledAt` must show the
 * last version of everything.
 */
export function checkReads(history: History, world: World, known: KnownBefore = {}): Violation[] {
  const seen = createKnownVersions(world, beginnings(history), known);
  const answers = history.operations
    .flatMap((operation) => operation.attempts.map((attempt): Answer => ({ operation, attempt })))
    .sort((one, other) => one.attempt.end - other.attempt.end);
  return answers.flatMap((answer) => [...checkSightings(answer, seen, world), ...checkWrite(answer, seen, world)]);
}

/** The first violation only: an outdated list is outdated in many things. */
function checkSightings(answer: Answer, seen: KnownVersions, world: World): Violation[] {
  const { operation, attempt } = answer;
  try {
    return observationsOf(answer, world)
      .flatMap((observation) => checkSighting(answer, observation, seen))
      .slice(0, 1);
  } catch (error) {
    // A body of another shape than the category reads.
    const message = `${nameOf(operation, attempt)} got ${JSON.stringify(attempt.outcome)}: ${reasonOf(error)}`;
    return [{ rule: 'unexpected-answer', message }];
  }
}

function observationsOf({ operation: { request }, attempt }: Answer, world: World): readonly Observation[] {
  const { outcome, id } = attempt;
  if (outcome.kind === 'unknown') return [];
  const conditional = outcome.kind === 'refused' ? unmatched(request.effect, outcome.status, outcome.etag) : [];
  // What a decision has seen of other streams is known for the attempt whose decision it was.
  const [made] = world.madeBy(id);
  if (request.effect && outcome.kind === 'ok' && !made) return [];
  return [...conditional, ...categoryNamed(request.category).observations(request, { ...outcome, made }, world)];
}

/** A 412: the version was another one, and the ETag shows the current one. */
function unmatched(effect: Operation['request']['effect'], status: number, etag: string | undefined): Observation[] {
  if (status !== 412 || effect?.stream === undefined) return [];
  const { stream, follows } = effect;
  const now = versionOf(etag);
  const other: Observation = { stream, saw: `that its version is not ${follows ?? 0}`, fits: (_, v) => v !== follows };
  if (now === undefined) return [other, absentOr(other)];
  return [other, { stream, saw: `version ${now} in a 412`, fits: (_, version) => version === now }];
}

const absentOr = (observation: Observation): Observation => ({
  ...absent(observation.stream),
  saw: `${observation.saw}, and no ETag in the 412`,
});

function checkSighting({ operation, attempt }: Answer, observation: Observation, seen: KnownVersions): Violation[] {
  const { stream, lowest, highest, since } = seen.window(observation.stream, attempt);
  const fitting = versionsThat(stream, observation);
  const possible = fitting.find((version) => version >= lowest && version <= highest);
  if (possible !== undefined) {
    seen.note(observation.stream, attempt.end, possible, () => nameOf(operation, attempt));
    return [];
  }
  const rule = ruleOf(stream, fitting, lowest, highest);
  const known = since === undefined ? '' : `, because of ${since()}`;
  const range = `version ${lowest} at least${known}, and ${highest} at most: ${describe(stream, lowest, highest)}`;
  const message = `${nameOf(operation, attempt)} saw of ${observation.stream} ${observation.saw}; it must be ${range}`;
  return [{ rule, message }];
}

function versionsThat({ states }: Stream, { fits }: Observation): number[] {
  return states.flatMap((thing, version) => (fits(thing, version) ? [version] : []));
}

function ruleOf({ states }: Stream, fitting: readonly number[], lowest: number, highest: number): Violation['rule'] {
  if (fitting.some((version) => version < lowest)) {
    return lowest > 0 && states[lowest] === undefined ? 'deleted-shown' : 'stale-read';
  }
  return fitting.some((version) => version > highest) ? 'early-read' : 'wrong-value';
}

/** The first few possible states. */
function describe({ states }: Stream, lowest: number, highest: number): string {
  const possible = states.slice(lowest, Math.max(lowest, Math.min(highest, lowest + 3)) + 1);
  return possible.map((thing) => (thing ? JSON.stringify(thing) : 'nothing')).join(', ');
}

/**
 * A write comes after everything that was answered before it began, and everything that begins after its answer comes after
 * it.
 */
function checkWrite({ operation, attempt }: Answer, seen: KnownVersions, world: World): Violation[] {
  if (!operation.request.effect || attempt.outcome.kind !== 'ok') return [];
  const [record] = operation.attempts.flatMap(({ id }) => world.madeBy(id));
  if (!record) return [];
  return world.versionsOf(record).flatMap(({ stream: { id }, version }): Violation[] => {
    const { lowest, since } = seen.window(id, attempt);
    const name = () => nameOf(operation, attempt);
    seen.note(id, attempt.end, version, name);
    if (record.correlationId !== attempt.id || version > lowest) return [];
    const message = `${name()} made version ${version} of ${id} after version ${lowest} was known from ${since?.() ?? 'nowhere'}`;
    return [{ rule: 'late-write', message }];
  });
}
