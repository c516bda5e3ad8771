import { answerQuestions } from '../answers.ts';
import { type AppendLoad, loadAppend } from './append.ts';
import { type HttpLoad, loadHttp } from './http.ts';
import { type InsertLoad, loadInsert } from './insert.ts';
import type { LoadResult } from './meter.ts';
import { loadPaced, type PacedLoad } from './paced.ts';
import { loadVerify, type VerifyLoad } from './verify.ts';

/** The messages that the process that creates load accepts. */
export type Load = HttpLoad | InsertLoad | AppendLoad | PacedLoad | VerifyLoad;

answerQuestions((load: Load): Promise<LoadResult> => {
  switch (load.kind) {
    case 'http':
      return loadHttp(load);
    case 'insert':
      return loadInsert(load);
    case 'append':
      return loadAppend(load);
    case 'paced':
      return loadPaced(load);
    case 'verify':
      return loadVerify(load);
  }
});
