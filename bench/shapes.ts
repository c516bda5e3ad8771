import { type Comparison, isWanted, type Plan } from './figure.ts';

/** How the measured product is deployed. */
export interface Shape {
  readonly name: string;
  /** The roles of each of its processes, in the order of their start; the last one has the API. */
  readonly processes: readonly string[];
  /** With Kafka, or else with the log in Postgres. */
  readonly isDistributed: boolean;
  readonly settings: Readonly<Record<string, string>>;
}

export const embedded: Shape = { name: 'embedded', processes: ['all'], isDistributed: false, settings: {} };

const distributed = { processes: ['projector', 'api'], isDistributed: true };

/** The setting of each broker of a replicated cluster. */
export const unflushed: Shape = {
  ...distributed,
  name: 'distributed without flush',
  settings: { KAFKA_FLUSH: 'off', PROJECTOR_COMMIT: 'async' },
};

/** The setting of a single broker, so that it keeps what it has acknowledged. */
export const flushed: Shape = { ...distributed, name: 'distributed with flush', settings: { KAFKA_FLUSH: 'on' } };

/** The shape without a cache: everything is read from Postgres, and nothing is marked. */
export const withoutCache = (shape: Shape): Shape => ({ ...shape, settings: { ...shape.settings, REDIS_URL: 'off' } });

/** The shape without quotas and rate limits. */
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

/** The comparisons of both shapes that the plan names, one after the other. */
export async function ofBothShapes(
  plan: Plan,
  compare: (shape: Shape) => Promise<readonly Comparison[]>,
): Promise<Comparison[]> {
  const all: Comparison[] = [];
  for (const shape of [embedded, unflushed]) if (isWanted(plan, shape.name)) all.push(...(await compare(shape)));
  return all;
}
