import {
  type GenerationProjectors,
  type GenerationProjectorsOptions,
  startGenerationProjectors,
} from '../projections/engine/generation-projectors.ts';
import { projections, READ_VERSION } from '../projections/projections.ts';

/**
 * Joins the groups that apply the log to the read models, one for each serving generation. A group subscribes to all topics of events.
 * Its pipeline is the projector of `projections/engine`: judge the records, apply those that won to the tables of `projections`, mark
 * what is cached of them as invalid, and commit rows and checkpoint in one transaction.
 */
export const startProjector = (
  options: Omit<GenerationProjectorsOptions, 'projections' | 'version'>,
): Promise<GenerationProjectors> => startGenerationProjectors({ ...options, projections, version: READ_VERSION });
