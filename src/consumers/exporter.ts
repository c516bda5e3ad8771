import type { QueueScope } from '../jobs/queue.ts';

/** Makes the files and mails of exports. */
export const EXPORTER: QueueScope = {
  group: 'exporter',
  holds: ({ jobType, repeat }) => jobType === 'export-playlist' && !repeat,
};
