import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createPlacement } from '../../src/events/placement.ts';
import { partitionKey } from '../../src/events/record.ts';
import { WORKER } from '../../src/consumers/worker.ts';
import { queueSchema } from '../../src/jobs/queue-feed.ts';
import { newJobId, requestOf } from '../support/jobs.ts';
import { genesisRecord } from '../../src/log/genesis.ts';
import { readIdentity } from '../../src/log/identity.ts';
import { declareVoid, voidsOf } from '../../src/log/voids.ts';
import { readRecovery, type Way } from '../../src/recovery/note.ts';
import { recover, waysOf } from '../../src/recovery/recover.ts';
import { lostOf, type Survey, surveyLog } from '../../src/recovery/survey.ts';
import { askEveryJudge, verify } from '../support/judges.ts';
import { eventsOf, truncateLog, MISSING, modelsOf, queueCatchesUp, stopAll } from '../support/truncated-log.ts';
import { claim, type Core, embeddedSource, kafkaSource, type LogSource, openCore, type Api } from '../support/core.ts';
import { recordsIn, restoreLog } from '../support/restored-log.ts';
import { createDatabase, demanded, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';

const LONG_MS = 120_000;

describe('openmusic log recover, on the embedded log', () => {
  recovers(() => Promise.resolve(embeddedSource));
});
describeWithKafka('openmusic log recover, on Kafka', () => {
  recovers(async () => kafkaSource([...(await demanded('kafka')).brokers]));
});

function recovers(sourceOf: () => Promise<LogSource>): void {
  let database: TestDatabase;
  let source: LogSource;
  let core: Core;
  let api: Api;

  beforeAll(async () => {
    database = await createDatabase();
    source = await sourceOf();
  }, LONG_MS);
  afterAll(() => database.drop());

  const tests = (name: string, work: () => Promise<void>) =>
    it(
      name,
      async () => {
        core = await openCore({ connection: database.connection, source });
        api = await core.openApi({ limits: { verdictWaitMs: 30_000 } });
        try {
          await work();
        } finally {
          await core.close();
        }
      },
      LONG_MS,
    );

  const survey = () => surveyLog(core);
  const choose = (way: Way) => recover({ ...core, owner: null }, way);
  const ends = () => core.log.ends(core.placement.all);

  tests(
    'appends the tail that a restored log lacks: winners at their offsets, fillers where losers stood',
    async () => {
      await truncateLog(core, api);
      const before = await modelsOf(core);
      const found = await survey();
      expect(found).toMatchObject({ kind: 'short' });
      expect(waysOf(found)).toEqual(['append', 'anew', 'follow']);
      expect(lostOf(found)).toBe(MISSING.winners);
      await choose('append');
      expect(await survey()).toMatchObject({ kind: 'equal' });
      expect(await modelsOf(core)).toEqual(before);
      const report = await askEveryJudge(core);
      const fillers = report.partitions.reduce((sum, { losers }) => sum + (losers['a filler'] ?? 0), 0);
      expect(fillers).toBe(MISSING.losers);
      expect(core.projectorReports.lost.filter(({ alarm }) => alarm)).toEqual([]);
      expect(await readIdentity(core.admin)).toMatchObject({ incarnation: found.identity!.incarnation });
    },
  );

  tests('makes a topic that is missing from what Postgres has', async () => {
    const catalog = core.catalog(0).topic;
    await truncateLog(core, api, [catalog]);
    const before = await modelsOf(core);
    expect(waysOf(await survey())).toEqual(['append', 'anew']);
    await choose('append');
    expect(await modelsOf(core)).toEqual(before);
    await askEveryJudge(core);
  });

  tests('begins a new incarnation where others took the places, and keeps what they wrote', async () => {
    await truncateLog(core, api);
    const before = await modelsOf(core);
    const theirs = core.streamIn(0);
    const where = core.placement.place(theirs);
    await core.append(where, claim({ stream: theirs }), claim({ stream: theirs }));
    await core.append(core.catalog(1), claim({ stream: core.streamIn(1) }));
    await declareVoid(core.admin, { ...where, offset: 1 }, 'of the incarnation that ends');
    const found = await survey();
    expect(found).toMatchObject({ kind: 'differs' });
    expect(waysOf(found)).toEqual(['anew', 'follow']);
    await choose('anew');
    expect(await readRecovery(core.admin)).toBeUndefined();
    expect((await readIdentity(core.admin))!.incarnation).not.toBe(found.identity!.incarnation);
    expect(await voidsOf(core.admin)).toEqual([]);
    await core.startProjectors();
    await askEveryJudge(core);
    const after = await modelsOf(core);
    expect(after.albums).toHaveLength(before.albums.length + 2);
    expect(after.albums).toEqual(expect.arrayContaining(before.albums));
    expect(after.events).toEqual(expect.arrayContaining(before.events));
  });

  tests('follows the log where it is the one that is right', async () => {
    await truncateLog(core, api);
    const found = await survey();
    await choose('follow');
    await core.startProjectors();
    await askEveryJudge(core);
    expect(await eventsOf(core)).toHaveLength(core.placement.all.length + 1);
    expect(await readIdentity(core.admin)).toEqual(found.identity);
  });

  tests('finds Postgres behind the log, and lets it catch up', async () => {
    await stopAll(core, api);
    await core.append(core.catalog(0), claim({ stream: core.streamIn(0) }));
    const found = await survey();
    expect(found).toMatchObject({ kind: 'ahead' });
    expect(waysOf(found)).toEqual(['restored']);
    const cached = await core.admin.query({ text: 'SELECT id FROM cache_state' });
    await choose('restored');
    expect(await core.admin.query({ text: 'SELECT id FROM cache_state' })).not.toEqual(cached);
    expect(await core.admin.query({ text: 'SELECT FROM refresh_tokens' })).toEqual([]);
    await core.startProjectors();
    await askEveryJudge(core);
  });

  tests('touches no log of another incarnation, and follows it when it is told to', async () => {
    await api.createAlbum();
    await core.settled();
    await stopAll(core, api);
    await restoreLog(core, []);
    const incarnation = randomUUID();
    const { placement } = core;
    const theirs = placement.all.map((where) => ({ ...where, record: genesisRecord(placement, where, incarnation) }));
    await core.log.append(theirs);
    const stranger = claim({ stream: core.streamIn(1) });
    await core.append(core.catalog(1), stranger);
    const found = await survey();
    expect(found).toMatchObject({ kind: 'foreign' });
    expect(waysOf(found)).toEqual(['follow']);
    await choose('follow');
    expect(await readIdentity(core.admin)).toMatchObject({ incarnation, initialised: true });
    await core.startProjectors();
    await askEveryJudge(core);
    expect(await core.rows('albums')).toMatchObject([{ id: stranger.key }]);
  });

  tests('tells consumers of a loser that is another one than the one they saw', async () => {
    const { id } = await api.createAlbum();
    const where = core.placement.place(id);
    await core.append(where, claim({ stream: id }));
    await core.settled();
    await stopAll(core, api);
    await restoreLog(core, (await ends()).map((end) => (partitionKey(end) === partitionKey(where) ? { ...end, offset: end.offset - 1 } : end))); // prettier-ignore
    await core.append(where, claim({ stream: id }));
    expect(await survey()).toMatchObject({ kind: 'short' });
    await choose('append');
    await askEveryJudge(core);
  });

  tests('empties a queue that had come further than the read models', async () => {
    await stopAll(core, api);
    const copied = await ends();
    const [lost, other] = twoJobs(core);
    const where = core.placement.place(lost.key);
    await core.append(where, lost);
    await queueCatchesUp(core);
    await restoreLog(core, copied);
    expect(await survey()).toMatchObject({ kind: 'short' });
    await choose('append');
    await core.append(where, other);
    await queueCatchesUp(core);
    const text = `SELECT job_id FROM "${queueSchema(core.namespace, WORKER)}".job_queue`;
    expect(await core.admin.query({ text })).toEqual([{ job_id: other.key }]);
    await core.startProjectors();
    await askEveryJudge(core);
  });

  tests('refuses to judge with another number of partitions than the log has', async () => {
    await api.createAlbum();
    await core.settled();
    await stopAll(core, api);
    const found = await surveyLog({ ...core, placement: createPlacement(core.namespace, 1) });
    expect(found).toMatchObject({ kind: 'unusable' });
    expect(waysOf(found)).toEqual([]);
  });

  tests('changes nothing while it only looks', async () => {
    await truncateLog(core, api);
    const before = await everythingOf(core);
    const found: Survey = await survey();
    expect(found.kind).toBe('short');
    expect(await everythingOf(core)).toEqual(before);
    expect((await verify(core)).faults).toEqual([]);
  });
}

/** Requests of two jobs of one partition. */
function twoJobs(core: Core) {
  const request = (jobId: string) =>
    claim({ stream: jobId, event: { type: 'JobRequested', jobId, request: requestOf() } });
  const first = newJobId();
  for (;;) {
    const second = newJobId();
    if (core.placement.place(second).partition !== core.placement.place(first).partition) continue;
    return [request(first), request(second)] as const;
  }
}

async function everythingOf(core: Core) {
  const { schema } = await core.serving();
  const tables = ['log_identity', 'log_voids', 'log_recovery', 'cache_state', 'generations', `"${schema}".checkpoints`];
  const rows = [];
  for (const table of tables) rows.push(await core.admin.query({ text: `SELECT * FROM ${table} ORDER BY 1, 2` }));
  return { rows, records: await recordsIn(core) };
}
