import { sessionsInUse } from '../recovery/consumers.ts';
import { refuseUnfinished } from '../recovery/note.ts';
import { takeServerLock } from '../postgres/server-lock.ts';
import { importLog } from '../transfer/import.ts';
import { openRaw } from '../transfer/raw.ts';
import { showProgress } from './progress.ts';
import { type CommandContext, withResources } from './with-resources.ts';

/** Makes a log again from a raw export, in an empty one. */
export function logImport(file: string): Promise<number> {
  return withResources({ as: 'lone-command' }, async (context) => {
    const { log, placement, admin, me, config, connection, lifecycle, print } = context;
    if (config.READ_ONLY === 'on') throw new Error('A follower (READ_ONLY=on) imports no log.');
    const lock = await takeServerLock(connection, `${config.NAMESPACE}.recovery`);
    if (!lock) throw new Error('Another process imports or recovers the log of this namespace.');
    lifecycle.add('lock', lock);
    await refuseUnfinished(admin);
    await mustBeAlone(context);
    const raw = await openRaw(file);
    const entries = 2 * raw.header.ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    const show = showProgress('read twice');
    let done = 0;
    const options = { log, placement, database: admin, me, progress: () => show(++done, entries) };
    const { incarnation, written, filled } = await importLog(options, raw);
    print(`Imported ${written} records at the offsets that they had, as incarnation ${incarnation}.`);
    if (filled > 0) print(`${filled} offsets hold fillers: what stood there counts for no reader.`);
    print(
      'Start the processes: the projector builds the read models. Jobs that had not ended are done by the first worker.',
    );
    return 0;
  });
}

/** Others would append in between. */
async function mustBeAlone({ admin, placement, log }: CommandContext): Promise<void> {
  const others = (await sessionsInUse(admin, placement)) + (await log.members()).length;
  if (others > 0) throw new Error('OpenMusic processes run on this log. Stop all of them, and run the command again.');
}
