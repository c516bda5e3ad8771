import { startBare } from './bare.ts';
import { type Asked, type Comparison, isWanted, type Plan } from './figure.ts';
import { type Loader, startLoader } from './load/loader.ts';
import type { LoadResult } from './load/meter.ts';
import type { Shape } from './shapes.ts';
import { type Stack, startStack } from './stack.ts';
import { notesOf, type Outcome, type Sample, seriesOf } from './turns.ts';

export const BARE = 'bare Fastify POST';
export const APPEND = 'append without arbitration';

/** The rate of a bare Fastify POST on the two cores for which the floors were set. */
export const REFERENCE_BARE = 36_000;

/** Writes per second that are required, by number of connections. */
type Floors = Readonly<Record<number, number>>;

export interface Variant {
  readonly shape: Shape;
  readonly floors: Floors;
}

/** A server that takes writes. */
export interface Subject {
  readonly title: string;
  readonly url: string;
  /** Missing for a server that was started elsewhere: then there is no limit below HTTP. */
  readonly stack?: Stack;
  readonly floors: Floors;
}

export interface Beside {
  /** The address of a bare server. */
  readonly bare: string;
  readonly loader: Loader;
}

type Compare = (subject: Subject, beside: Beside, plan: Plan) => Promise<Comparison[]>;

/** The server of the plan; or each of these shapes that the plan names, one after the other. */
export async function compareWrites(variants: readonly Variant[], plan: Plan, compare: Compare): Promise<Comparison[]> {
  if (plan.url !== undefined) return beside({ title: plan.url, url: plan.url, floors: {} }, plan, compare);
  const all: Comparison[] = [];
  for (const variant of variants) {
    if (isWanted(plan, variant.shape.name)) all.push(...(await ofShape(variant, plan, compare)));
  }
  return all;
}

async function ofShape({ shape, floors }: Variant, plan: Plan, compare: Compare): Promise<Comparison[]> {
  plan.say(`${shape.name}: starting`);
  const stack = await startStack(shape);
  try {
    return await beside({ title: shape.name, url: stack.url, stack, floors }, plan, compare);
  } finally {
    await stack.stop();
  }
}

async function beside(subject: Subject, plan: Plan, compare: Compare): Promise<Comparison[]> {
  const [bare, loader] = [await startBare(), startLoader(plan)];
  try {
    return await compare(subject, { bare: bare.url, loader }, plan);
  } finally {
    await Promise.all([bare.stop(), loader.stop()]);
  }
}

export const sampleOf = async (result: Promise<LoadResult>): Promise<Sample> => ({ ...(await result) });

type Measure = 'perSecond' | 'p50Ms' | 'p99Ms';

/** A comparison of one measured value, ours first. */
export function comparisonOf(
  title: string,
  outcomes: readonly Outcome[],
  of: Measure,
  asked: readonly Asked[],
): Comparison {
  const [ours, ...limits] = outcomes.map((outcome) => seriesOf(outcome, of));
  if (!ours) throw new Error('Nothing was measured.');
  return { title, unit: of === 'perSecond' ? '/s' : 'ms', ours, limits, asked, notes: notesOf(outcomes) };
}

/** The floor as a share of the bare server's rate. */
export function floorOf(floor: number | undefined): Asked[] {
  if (floor === undefined) return [];
  const from = `${floor.toLocaleString('en')}/s beside ${REFERENCE_BARE.toLocaleString('en')}/s`;
  return [{ limit: BARE, atLeast: floor / REFERENCE_BARE, from }];
}
