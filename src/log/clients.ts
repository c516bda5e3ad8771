import { reasonOf } from '../errors.ts';
import { poll, waitFor } from '../concurrency/poll.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { EventLog, GroupMember } from './event-log.ts';
import type { Queries } from './identity.ts';

export interface RegistrationOptions {
  readonly database: Queries;
  /** The Kafka client id of this process. It is unique. */
  readonly clientId: string;
  readonly report: (message: string) => void;
}

const EVERY_MS = 5_000;

/**
 * Keeps a row for this process until it stops. The row is written every few seconds, because after a restart of Postgres only rows
 * written since then count: older ones may have come with a copy of its files.
 */
export async function registerClient({ database, clientId, report }: RegistrationOptions): Promise<Stoppable> {
  const write = () =>
    database.query({
      text: `INSERT INTO log_clients VALUES ($1, pg_postmaster_start_time(), now())
        ON CONFLICT (client_id) DO UPDATE SET postgres_started_at = excluded.postgres_started_at, seen_at = now()`,
      values: [clientId],
    });
  await database.query({ text: `DELETE FROM log_clients WHERE seen_at < now() - interval '1 day'` });
  await write();
  const onFailure = (error: unknown) => report(`this process is not registered: ${reasonOf(error)}`);
  const writing = poll(write, { everyMs: EVERY_MS, firstMs: EVERY_MS, onFailure });
  return {
    async stop() {
      await writing.stop();
      await database
        .query({ text: 'DELETE FROM log_clients WHERE client_id = $1', values: [clientId] })
        .catch(() => undefined); // a row that remains is deleted a day later
    },
  };
}

/** Live members of our groups that are no process of this database. */
export async function strangeMembers(database: Queries, log: Pick<EventLog, 'members'>): Promise<GroupMember[]> {
  const members = await log.members();
  if (members.length === 0) return [];
  const rows = await database.query<{ id: string }>({
    text: `SELECT client_id AS id FROM log_clients
      WHERE client_id = ANY($1) AND postgres_started_at = pg_postmaster_start_time()`,
    values: [members.map(({ clientId }) => clientId)],
  });
  const registered = new Set(rows.map(({ id }) => id));
  return members.filter(({ clientId }) => !registered.has(clientId));
}

export const showMember = ({ group, clientId, host }: GroupMember): string => `${clientId} at ${host} in ${group}`;

export const strangerAlarm = (member: GroupMember): string =>
  `a process that this database does not know is in its consumer group, so a copy of the database is in use: ${showMember(member)}`;

export interface AdmissionOptions {
  readonly database: Queries;
  readonly log: Pick<EventLog, 'members'>;
  /** How long strangers may take to leave. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Longer than a group keeps a dead member, and longer than a process takes to register again after a restart of Postgres.
 */
const WITHIN_MS = 25_000;
const LOOK_EVERY_MS = 500;

/** The members that remain after dead ones have had the time to leave. Empty as soon as there are none. */
export async function lastingMembers(
  find: () => Promise<GroupMember[]>,
  { withinMs = WITHIN_MS, signal }: Pick<AdmissionOptions, 'withinMs' | 'signal'> = {},
): Promise<GroupMember[]> {
  let members: GroupMember[] = [];
  const areGone = async () => {
    members = await find();
    return members.length === 0 || undefined;
  };
  await waitFor(areGone, { everyMs: LOOK_EVERY_MS, withinMs, signal });
  return members;
}

/** Why no process of this database may start: our groups have strangers that do not leave. Undefined: it may. */
export async function refusalByMembers(options: AdmissionOptions): Promise<string | undefined> {
  const { database, log } = options;
  const [first, ...others] = await lastingMembers(() => strangeMembers(database, log), options);
  if (!first) return undefined;
  const more = others.length > 0 ? `, and ${others.length} more` : '';
  return `${strangerAlarm(first)}${more}. Only one of the copies may go on: end the processes of the other one.`;
}
