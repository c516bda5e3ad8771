import { readIdentity } from '../log/identity.ts';
import { refusalOf } from '../log/ownership.ts';
import { inspectLog, LogRefused } from '../log/topics.ts';
import type { CommandContext } from './with-resources.ts';

/** Throws LogRefused where a server of this database would be refused too, because the log belongs to another database. */
export async function refuseOthers(
  { log, placement, admin, me }: Pick<CommandContext, 'log' | 'placement' | 'admin' | 'me'>,
  { readOnly }: { readonly readOnly: boolean },
): Promise<void> {
  if (!me) return;
  const identity = await readIdentity(admin);
  const { madeBy } = identity ? {} : await inspectLog(log, placement);
  const refusal = refusalOf({ me, readOnly }, identity, madeBy);
  if (refusal !== undefined) throw new LogRefused([refusal]);
}
