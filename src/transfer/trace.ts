import type { Envelope } from '../events/envelope.ts';
import { isWinner, type Winner } from '../event-store/judged-log.ts';
import type { Position } from '../events/record.ts';
import type { ReadProgress } from './export.ts';
import type { LogReading } from './log-reading.ts';

/** An event, and those that it led to. */
export interface Caused<Event> {
  readonly event: Event;
  readonly children: readonly Caused<Event>[];
}

/**
 * The accepted records of a request, and of the jobs that it began: the work of a job is correlated by the job's id. Reads the log once,
 * and once more for each generation of jobs.
 */
export async function tracedRecords(
  reading: LogReading,
  ends: readonly Position[],
  correlation: string,
  progress: ReadProgress = () => undefined,
): Promise<Winner[]> {
  const found = new Map<string, Winner>();
  const traced = new Set<string>();
  for (let wanted = new Set([correlation]); wanted.size > 0;) {
    wanted.forEach((each) => traced.add(each));
    for await (const winner of recordsOf(reading, ends, wanted, progress)) found.set(winner.envelope.id, winner);
    const streams = [...found.values()].map(({ envelope }) => envelope.stream);
    wanted = new Set(streams.filter((stream) => stream.startsWith('job-') && !traced.has(stream)));
  }
  return [...found.values()];
}

async function* recordsOf(
  reading: LogReading,
  ends: readonly Position[],
  wanted: ReadonlySet<string>,
  progress: ReadProgress,
): AsyncGenerator<Winner, void> {
  const total = ends.reduce((sum, { offset }) => sum + offset, 0);
  let done = 0;
  for (const { offset: end, ...where } of ends) {
    for await (const judged of reading.partition({ ...where, offset: 0 }).until(end)) {
      progress((done += judged.length), total);
      yield* judged
        .filter(isWinner)
        .filter(({ envelope: { correlationId, stream } }) => wanted.has(correlationId) || wanted.has(stream));
    }
  }
}

type Links = Pick<Envelope, 'id' | 'stream' | 'prev' | 'commandId' | 'correlationId' | 'causationId'>;

/** Sorts events under those that led to them. The order of the events is kept. */
export function causationTree<Event>(events: readonly Event[], linksOf: (event: Event) => Links): Caused<Event>[] {
  const parentOf = parentFinder(events.map(linksOf));
  const byParent = Map.groupBy(events, (event) => parentOf(linksOf(event)));
  const placed = new Set<Event>();
  const grow = (event: Event): Caused<Event> => {
    placed.add(event);
    const children = (byParent.get(linksOf(event).id) ?? []).filter((child) => !placed.has(child));
    return { event, children: children.map(grow) };
  };
  const trees = (byParent.get(undefined) ?? []).map(grow);
  // Records of foreign writers can name each other as their causes.
  for (const event of events) if (!placed.has(event)) trees.push(grow(event));
  return trees;
}

/**
 * The record that led to another one: the one that its causation id names, by record or by command; else the beginning of the job
 * that its correlation id names; else the record before it in its stream.
 */
function parentFinder(all: readonly Links[]): (links: Links) => string | undefined {
  const byId = new Map(all.map((links) => [links.id, links]));
  const byCommand = new Map(all.map((links) => [links.commandId, links]));
  const firstOf = new Map(all.filter(({ prev }) => prev === '').map((links) => [links.stream, links]));
  return ({ id, stream, prev, commandId, correlationId, causationId }) => {
    const cause = byId.get(causationId) ?? (causationId === commandId ? undefined : byCommand.get(causationId));
    const job = correlationId === stream ? undefined : firstOf.get(correlationId);
    return [cause, job, byId.get(prev)].find((each) => each && each.id !== id)?.id;
  };
}
