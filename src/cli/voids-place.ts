import type { LogIdentity } from '../log/identity.ts';
import { incarnationOf } from '../log/topics.ts';
import type { VoidsPlace } from '../log/void-topic.ts';
import type { CommandContext } from './with-resources.ts';

/** Where voids are read: the topic lists them also for a database that does not know the log yet. */
export async function voidsPlaceOf(
  { log, placement, admin }: Pick<CommandContext, 'log' | 'placement' | 'admin'>,
  known: LogIdentity | undefined,
): Promise<VoidsPlace> {
  const incarnation = known ? undefined : await incarnationOf(log, placement);
  return { log, namespace: placement.namespace, database: admin, incarnation };
}
