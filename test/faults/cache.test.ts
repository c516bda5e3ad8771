import { startCachedMusic } from '../support/cached-music.ts';
import { shareStack } from '../support/shared-stack.ts';
import { whenCutOff } from './cache/cut-off.ts';
import { whenMarksAreLost } from './cache/lost-marks.ts';
import { whenMemoryIsShort } from './cache/memory.ts';
import { whenRedisHasOtherData } from './cache/other-data.ts';
import { whenRedisIsGone } from './cache/server-gone.ts';

/** The projector freezes between marks and commit, once each time that a test arms it. */
const projectors = [{ FAULT: 'after-marks:armed:SIGSTOP' }];
const stack = shareStack(() => startCachedMusic({ projectors }));

for (const suite of [whenRedisIsGone, whenRedisHasOtherData, whenMarksAreLost, whenMemoryIsShort, whenCutOff])
  suite(stack);
