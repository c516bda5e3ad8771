import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RecoveryFaultPoint } from '../../src/faults.ts';
import { readIdentity } from '../../src/log/identity.ts';
import { readRecovery, refuseUnfinished, type Way } from '../../src/recovery/note.ts';
import { claim, embeddedSource, kafkaSource, type LogSource, openCore } from '../support/core.ts';
import { eventsOf, truncateLog, modelsOf } from '../support/truncated-log.ts';
import { askEveryJudge } from '../support/judges.ts';
import type { Settings } from '../support/distributed.ts';
import { KEYS } from '../support/keys.ts';
import { openmusic } from '../support/processes.ts';
import { createDatabase, demanded, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';

const entry = fileURLToPath(new URL('../support/faulty-recover.ts', import.meta.url));
const LONG_MS = 240_000;

const APPEND: readonly RecoveryFaultPoint[] = [
  'recovery-noted',
  'recovery-appended',
  'recovery-copied',
  'recovery-reset',
];
const ANEW: readonly RecoveryFaultPoint[] = [
  ...(['recovery-noted', 'recovery-staged', 'recovery-deleted', 'recovery-opened'] as const),
  ...(['recovery-appended', 'recovery-copied', 'recovery-reset'] as const),
];
const FOLLOW: readonly RecoveryFaultPoint[] = ['recovery-noted', 'recovery-reset'];
const all: readonly (readonly [Way, readonly RecoveryFaultPoint[]])[] = [
  ['append', APPEND],
  ['anew', ANEW],
  ['follow', FOLLOW],
];
const crashPoints = all.flatMap(([way, points]) => points.map((point) => [way, point] as const));

describe('log recover on the embedded log, killed and run again', () => {
  comesToTheSame(() => Promise.resolve({ source: embeddedSource, env: {} }), crashPoints);
});
describeWithKafka('log recover on Kafka, killed and run again', () => {
  // On a broker only the steps that change the log differ.
  const points = crashPoints.filter(([, point]) => ['recovery-appended', 'recovery-deleted', 'recovery-opened'].includes(point)); // prettier-ignore
  comesToTheSame(async () => {
    const brokers = [...(await demanded('kafka')).brokers];
    return { source: kafkaSource(brokers), env: { KAFKA_BROKERS: brokers.join(), REDIS_URL: 'off', ...KEYS } };
  }, points);
});

function comesToTheSame(
  logOf: () => Promise<{ readonly source: LogSource; readonly env: Settings }>,
  points: typeof crashPoints,
): void {
  let database: TestDatabase;
  let source: LogSource;
  let env: Settings;

  beforeAll(async () => {
    database = await createDatabase();
    const { host, port, user, password, database: name } = database.connection;
    const login = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: name };
    const log = await logOf();
    ({ source } = log);
    env = { ...log.env, ...login, PARTITIONS: '2' };
  }, LONG_MS);
  afterAll(() => database.drop());

  it.each(points)(
    'ends with the same result after %s at %s',
    async (way, point) => {
      const core = await openCore({ connection: database.connection, source, owned: env.KAFKA_BROKERS !== undefined });
      try {
        await truncateLog(core, await core.openApi({ limits: { verdictWaitMs: 30_000 } }));
        const before = await modelsOf(core);
        const theirs = core.streamIn(1);
        if (way === 'anew') await core.append(core.catalog(0), claim({ stream: core.streamIn(0) }));
        if (way === 'anew') await core.append(core.catalog(1), claim({ stream: theirs }), claim({ stream: theirs }));
        const incarnation = (await readIdentity(core.admin))?.incarnation;

        const settings = { ...env, NAMESPACE: core.namespace };
        const dying = await openmusic([way], { ...settings, FAULT: point }, entry);
        expect(dying).toMatchObject({ code: null });
        const isNoted = point !== 'recovery-reset';
        expect((await readRecovery(core.admin))?.way).toBe(isNoted ? way : undefined);
        if (isNoted)
          await expect(refuseUnfinished(core.admin)).rejects.toThrow('Run `npm run openmusic -- log recover`');

        const again = await openmusic(['log', 'recover', '--answer', 'no'], settings);
        expect(again).toMatchObject({ code: 0 });
        await core.startProjectors();
        await askEveryJudge(core);
        const changed = (await readIdentity(core.admin))?.incarnation !== incarnation;
        expect(changed).toBe(way === 'anew');
        if (way === 'append') expect(await modelsOf(core)).toEqual(before);
        if (way === 'anew') expect(await eventsOf(core)).toEqual(expect.arrayContaining(before.events));
        if (way === 'anew') expect(await core.rows('albums')).toHaveLength(before.albums.length + 2);
        if (way === 'follow') expect(await core.rows('albums')).toMatchObject([{ name: 'Parachutes' }]);
      } finally {
        await core.close();
      }
    },
    LONG_MS,
  );
}
