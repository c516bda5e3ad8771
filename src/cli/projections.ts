import { Registry } from 'prom-client';
import { readOwnership } from '../log/ownership.ts';
import { observeProjector } from '../projections/engine/observe.ts';
import { projections, READ_VERSION } from '../projections/projections.ts';
import { rebuild } from '../projections/generations/rebuild.ts';
import { RebuildRunning } from '../projections/generations/rebuild-lock.ts';
import { refuseUnfinished } from '../recovery/note.ts';
import { refuseOthers } from './refuse-others.ts';
import { withResources } from './with-resources.ts';

const RUNNING = 3;

/**
 * Replays the log into a new generation and serves it. Exit code 2 when it differs from the live one: it is then kept, unserved, for
 * inspection. Exit code 3 when another rebuild is running.
 */
export function projectionsRebuild(): Promise<number> {
  return withResources({ as: 'command' }, async ({ signal, print, logger, ...resources }) => {
    await refuseUnfinished(resources.admin);
    await refuseOthers(resources, { readOnly: resources.config.READ_ONLY === 'on' });
    const ownership = await readOwnership(resources.admin, resources.placement, () => undefined);
    const result = await rebuild(
      {
        ...resources,
        ownership,
        projections,
        version: READ_VERSION,
        logger,
        synchronousCommit: false,
        observer: observeProjector(logger, new Registry(), () => undefined),
        progress: showProgress(print),
      },
      signal,
    ).catch(runningOf);
    if (result instanceof RebuildRunning) {
      print(result.message);
      return RUNNING;
    }
    const { generation, records, seconds, differences, stillRead } = result;
    print(`${records} records in ${seconds.toFixed(1)} s into ${generation.schema}`);
    if (differences.length > 0) {
      print(`It differs from the live generation and is not served:\n  ${differences.join('\n  ')}`);
      return 2;
    }
    print(`${generation.schema} equals the live generation and is served.`);
    for (const { schema } of stillRead)
      print(`${schema} is still read; it is retired when no process reads it any more.`);
    return 0;
  });
}

function runningOf(error: unknown): RebuildRunning {
  if (error instanceof RebuildRunning) return error;
  throw error;
}

const SHOW_EVERY_MS = 1_000;

function showProgress(print: (line: string) => void): (applied: number, total: number) => void {
  const began = Date.now();
  let shown = began;
  return (applied, total) => {
    if (Date.now() - shown < SHOW_EVERY_MS) return;
    shown = Date.now();
    const rate = Math.round(applied / ((shown - began) / 1_000));
    print(`${applied} of ${total} records (${Math.floor((100 * applied) / Math.max(1, total))} %), ${rate}/s`);
  };
}
