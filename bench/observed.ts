import { Session } from 'node:inspector/promises';
import { answerQuestions } from './answers.ts';

/** Options of Node for a process that is to answer these questions. */
export const OBSERVED = ['--expose-gc', '--import', import.meta.url];

export type Question = 'resident-memory' | 'begin-profile' | 'end-profile';

const GC_TIMES = 3;

/** Resident memory in megabytes, after all garbage is collected. */
async function residentMemory(): Promise<number> {
  for (let times = 0; times < GC_TIMES; times++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100)); // freed pages are returned in the background
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

function observe(): void {
  const session = new Session();
  session.connect();
  answerQuestions(async ({ question }: { question: Question }) => {
    switch (question) {
      case 'resident-memory':
        return residentMemory();
      case 'begin-profile':
        await session.post('Profiler.enable');
        return session.post('Profiler.start');
      case 'end-profile':
        return (await session.post('Profiler.stop')).profile;
    }
  });
}

if (process.execArgv.includes(import.meta.url)) observe();
