import { type Comparison, isWanted, type Plan } from './figure.ts';

/** How a product under measurement is put together. */
export interface Shape {
  readonly name: string;
  /** The roles of each of its processes, in the order of their start; the last one has the API. */
  readonly processes: readonly string[];
  /** On Kafka, or else on the log in Postgres. */
  readonly isDistributed: boolean;
  readonly settings: Readonly<Record<string, string>>;
}

export const embedded: Shape = { name: 'embedded', processes: ['all'], isDistributed: false, settings: {} };

const distributed = { processes: ['projector', 'api'], isDistributed: true };

/** What each broker of a replicated cluster does. */
export const unflushed: Shape = {
  ...distributed,
  name: 'distributed without flush',
  settings: { KAFKA_FLUSH: 'off', PROJECTOR_COMMIT: 'async' },
};

/** What a single broker does, so that it keeps what it has acknowledged. */
export const flushed: Shape = { ...distributed, name: 'distributed with flush', settings: { KAFKA_FLUSH: 'on' } };

/** Everything is read from Postgres, and nothing is marked. */
export const withoutCache = (shape: Shape): Shape => ({ ...shape, settings: { ...shape.settings, REDIS_URL: 'off' } });

/** Nobody is refused for having too many jobs, or for asking too often. */
export const forJobs = (shape: Shape, settings: Shape['settings'] = {}): Shape => ({
  ...shape,
  settings: {
    ...shape.settings,
    RATE_JOBS: 'off',
    RATE_MAILS: 'off',
    JOBS_UNFINISHED: '1000000',
    STORED_BYTES: '1000000000000',
    ...settings,
  },
});

/** The comparisons of both ways to run, as far as they are wanted, one after the other. */
export async function ofBothShapes(
  plan: Plan,
  compare: (shape: Shape) => Promise<readonly Comparison[]>,
): Promise<Comparison[]> {
  const all: Comparison[] = [];
  for (const shape of [embedded, unflushed]) if (isWanted(plan, shape.name)) all.push(...(await compare(shape)));
  return all;
}
