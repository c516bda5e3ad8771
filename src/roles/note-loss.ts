import type { Config } from '../config.ts';
import { createLostLog } from '../projections/engine/lost-log.ts';
import { READ_VERSION } from '../projections/projections.ts';
import type { Resources } from '../resources.ts';

/** Looks whether the log has another owner by now. Undefined where a consumer of this process would read that record itself. */
export function noteLossOf(config: Config, { me, ...resources }: Resources): (() => Promise<void>) | undefined {
  const consumes = config.ROLES.some((role) => role !== 'api' && role !== 'publisher');
  if (!me || consumes || config.READ_ONLY === 'on') return undefined;
  return createLostLog({ ...resources, me, version: READ_VERSION });
}
