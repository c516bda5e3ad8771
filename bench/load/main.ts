import { answerQuestions } from '../answers.ts';
import { type AppendLoad, loadAppend } from './append.ts';
import { type HttpLoad, loadHttp } from './http.ts';
import { type InsertLoad, loadInsert } from './insert.ts';
import type { LoadResult } from './meter.ts';

/** What the process that makes the load can be told to do. */
export type Load = HttpLoad | InsertLoad | AppendLoad;

answerQuestions((load: Load): Promise<LoadResult> => {
  switch (load.kind) {
    case 'http':
      return loadHttp(load);
    case 'insert':
      return loadInsert(load);
    case 'append':
      return loadAppend(load);
  }
});
