import { startChild } from '../processes.ts';
import type { Plan } from '../figure.ts';
import type { Load } from './main.ts';
import type { LoadResult, Window } from './meter.ts';

/** A separate process that creates load, so that the measured ones share no event loop with it. */
export interface Loader {
  run(load: WithoutWindow<Load>): Promise<LoadResult>;
  stop(): Promise<void>;
}

type WithoutWindow<T> = T extends Load ? Omit<T, keyof Window> : never;

export function startLoader({ seconds, warmUpSeconds }: Pick<Plan, 'seconds' | 'warmUpSeconds'>): Loader {
  const child = startChild('bench/load/main.ts');
  const window: Window = { warmUpMs: warmUpSeconds * 1_000, measureMs: seconds * 1_000 };
  return {
    run: async (load) => (await child.ask({ ...load, ...window })) as LoadResult,
    stop: () => child.stop(),
  };
}
