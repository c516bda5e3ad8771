import { AppendError, type EventLog } from './event-log.ts';
import { type Queries, readIdentity, writeIdentity } from './identity.ts';
import { isSameOwner } from './owner.ts';
import type { Visitor } from './ownership.ts';
import type { Placement } from '../events/placement.ts';
import { checkLog, inspectLog, LogRefused } from './topics.ts';

export interface FollowOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly database: Queries;
  readonly me: Visitor['me'];
}

/** Makes a database a follower of another database's log. Throws LogRefused with the reasons when it cannot. */
export async function followLog({ log, placement, database, me }: FollowOptions): Promise<void> {
  if (!(await readIdentity(database))) await begin({ log, placement, database, me });
  await checkLog(log, placement, await readIdentity(database), { me, readOnly: true });
}

async function begin({ log, placement, database, me }: FollowOptions): Promise<void> {
  const { incarnations, madeBy = null } = await inspectLog(log, placement);
  const incarnation = incarnations.values().next().value;
  if (incarnation === undefined) {
    throw new LogRefused([
      `there is no log of NAMESPACE ${placement.namespace} at these brokers that could be followed`,
    ]);
  }
  if (isSameOwner(madeBy, me)) throw new LogRefused(['this database owns the log: start it without READ_ONLY']);
  await writeIdentity(database, { incarnation, initialised: true, owner: madeBy, owned: false });
}

/** The log for a follower: changes are refused before they are sent. */
export function forReading(log: EventLog): EventLog {
  return {
    ...log,
    append: () => Promise.reject(new AppendError('refused', 'a follower appends nothing to the log')),
    createTopics: () => Promise.reject(new Error('a follower creates no topics')),
    deleteTopics: () => Promise.reject(new Error('a follower deletes no topics')),
  };
}
