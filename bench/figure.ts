/** How long and how often to measure. */
export interface Plan {
  /** Turns of everything that is compared. */
  readonly rounds: number;
  /** Seconds measured in one turn. */
  readonly seconds: number;
  /** Seconds before that, which are not measured. */
  readonly warmUpSeconds: number;
  /** A smoke run: everything runs, and no number means anything. */
  readonly quick: boolean;
  /** A running server to measure, instead of starting one. */
  readonly url?: string;
  /** Part of the names of the shapes to measure; every shape without it. */
  readonly only?: string;
  readonly say: (line: string) => void;
}

/** The values of one contestant, in the order of the rounds. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

export type Unit = '/s' | 'ms' | 'µs' | 'MB';

/** The goal of a figure: for its value, or for its ratio to one of the limits. */
export interface Asked {
  readonly limit?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Where the number comes from, when it was converted. */
  readonly from?: string;
}

/** Our value beside its limits, measured in turns. */
export interface Comparison {
  readonly title: string;
  readonly unit: Unit;
  readonly ours: Series;
  readonly limits: readonly Series[];
  readonly asked: readonly Asked[];
  /** Other observations. */
  readonly notes: readonly string[];
}

export interface Figure {
  readonly name: string;
  readonly about: string;
  /** How it is measured, for docs/reference/benchmarks.md. */
  readonly method: string;
  /** Whether any server can be measured by its URL. */
  readonly overHttp: boolean;
  run(plan: Plan): Promise<Comparison[]>;
}

/** Whether a shape is to be measured. */
export const isWanted = ({ only }: Plan, name: string): boolean => only === undefined || name.includes(only);

/** One measurement of a figure. */
export interface Measured extends Pick<Plan, 'rounds' | 'seconds' | 'quick'> {
  readonly figure: string;
  readonly machine: string;
  readonly measuredAt: string;
  readonly comparisons: readonly Comparison[];
}
