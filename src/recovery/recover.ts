import type { Faults } from '../faults.ts';
import { forgetLogins, forgetReadModels, keepReadModels } from './consumers.ts';
import { beginIncarnation, type NewLogOptions } from './incarnation.ts';
import { noteRecovery, type Recovery, type Way } from './note.ts';
import { type Case, type Survey, surveyLog, surveyOurs } from './survey.ts';
import { appendTail } from './tail.ts';

export interface RecoverOptions extends NewLogOptions {
  readonly faults?: Faults;
}

/** The ways that are possible for what was found. */
export function waysOf({ kind, partitions, incarnations, hasHoles }: Survey): readonly Way[] {
  const isReadable = !hasHoles && partitions.every(({ stopsAt }) => stopsAt === undefined);
  const canFollow = isReadable && new Set(incarnations.values()).size === 1;
  const ways: Record<Case, readonly Way[]> = {
    unknown: [],
    unusable: [],
    equal: [],
    ahead: ['restored'],
    foreign: [],
    short: ['append', 'anew'],
    differs: ['anew'],
  };
  return canFollow && ['short', 'differs', 'foreign'].includes(kind) ? [...ways[kind], 'follow'] : ways[kind];
}

/** Recovers in the way that the operator has chosen. After an interruption `goOn` continues from the note. */
export async function recover(options: RecoverOptions, way: Way): Promise<void> {
  const recovery = await noteRecovery(options.admin, way);
  options.faults?.['recovery-noted']?.();
  await goOn(options, recovery);
}

/** Continues a recovery. The last step of each way is one commit, which also ends the recovery. */
export async function goOn(options: RecoverOptions, recovery: Recovery): Promise<void> {
  const { log, admin, placement, faults = {} } = options;
  switch (recovery.way) {
    case 'append':
      await appendTail(options, await surveyOurs(options));
      await surveyOurs(options);
      faults['recovery-copied']?.();
      await keepReadModels(log, admin, placement);
      break;
    case 'anew':
      await beginIncarnation(options, recovery);
      faults['recovery-copied']?.();
      await forgetReadModels(admin, placement, { incarnation: recovery.incarnation, isNew: true });
      break;
    case 'follow':
      await follow(options);
      break;
    case 'restored':
      await forgetLogins(admin);
      break;
  }
  faults['recovery-reset']?.();
}

async function follow(options: RecoverOptions): Promise<void> {
  const { admin, placement } = options;
  const { identity, incarnations } = await surveyLog(options);
  const [incarnation] = incarnations.values();
  if (incarnation === undefined) throw new Error('The log has no incarnation.');
  await forgetReadModels(admin, placement, { incarnation, isNew: incarnation !== identity?.incarnation });
}
