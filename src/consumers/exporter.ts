import type { HandleJob } from '../jobs/in-flight.ts';
import type { QueueScope } from '../jobs/queue.ts';
import { type Group, type MemberOptions, startGroup } from './group.ts';

/** The exporter takes exports of playlists. It makes their files and mails them. */
export const EXPORTER: QueueScope = {
  group: 'exporter',
  holds: ({ jobType, repeat }) => jobType === 'export-playlist' && !repeat,
};

/** Joins the group: its subscription keeps the queue of exports; its pipeline is `createAttempts`, as of the worker. */
export const startExporter = (member: MemberOptions, handle: HandleJob): Promise<Group> =>
  startGroup({ ...member, scope: EXPORTER, handle });
