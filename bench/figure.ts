/** How long and how often is measured. */
export interface Plan {
  /** Times that everything compared takes its turn. */
  readonly rounds: number;
  /** Measured of one turn. */
  readonly seconds: number;
  /** Not measured, before that. */
  readonly warmUpSeconds: number;
  /** A smoke run: everything runs, no number means anything. */
  readonly quick: boolean;
  /** A running server to measure in place of own ones. */
  readonly url?: string;
  /** Part of the name of the shapes to measure; all without it. */
  readonly only?: string;
  readonly say: (line: string) => void;
}

/** Runs of one thing, in the order of the rounds. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

export type Unit = '/s' | 'ms' | 'µs' | 'MB';

/** What is asked of a figure: of its value, or of its ratio to one of the limits. */
export interface Asked {
  readonly limit?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Where the number comes from, when it is not the asked one itself. */
  readonly from?: string;
}

/** Ours beside its limits, measured in turns. */
export interface Comparison {
  readonly title: string;
  readonly unit: Unit;
  readonly ours: Series;
  readonly limits: readonly Series[];
  readonly asked: readonly Asked[];
  /** What else was seen. */
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
