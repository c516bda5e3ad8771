import type { Category } from './category.ts';

/** No client of a history requests a job, so its tables must stay empty. test/faults/jobs-* tests jobs. */
export const jobs: Category = {
  name: 'job',
  weight: 0,
  next: () => undefined,
  created: () => undefined,
  evolve() {
    throw new Error('The history checker does not judge jobs.');
  },
  allows: () => false,
  observations: () => [],
  reads: () => [],
  tables: ['jobs', 'job_attempts'].map((name) => ({ name, key: 'id', rows: () => [] })),
};
