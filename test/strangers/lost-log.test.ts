import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { voidRecord } from '../../src/events/voids.ts';
import { showOwner } from '../../src/log/owner.ts';
import type { LogOwner } from '../../src/events/genesis.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';
import { claim, withCorruptHeader } from '../support/core.ts';
import { describeDistributed, type Distributed, type Settings, startDistributed } from '../support/distributed.ts';
import { linesOf } from '../support/observed.ts';
import { openStrangerClient } from '../support/stranger-client.ts';
import { ownerOf } from '../support/owners.ts';
import { openmusic } from '../support/processes.ts';
import { refusalOf } from '../support/start-refusal.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

const LONG_MS = 240_000;

const settingsOf = ({ host, port, user, password, database }: PostgresConnection): Settings => ({
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
  PGDATABASE: database,
});

describeDistributed('an owner with only an API process', () => {
  let system: Distributed;
  let other: TestDatabase;
  let env: Settings;
  let owner: LogOwner;

  beforeAll(async () => {
    system = await startDistributed({ env: { LOG_CHECK_SECONDS: '0.5' } });
    await system.projectors[0]!.end('SIGTERM');
    other = await createDatabase();
    env = { ...system.env, ...settingsOf(other.connection) };
    owner = await ownerOf(system.connection);
  }, LONG_MS);
  afterAll(async () => {
    await system.stop();
    await other.drop();
  });

  const sql = async <Row extends pg.QueryResultRow>(text: string, of = system.connection): Promise<Row[]> => {
    const client = new pg.Client(of);
    await client.connect();
    return client
      .query<Row>(text)
      .then(({ rows }) => rows)
      .finally(() => client.end());
  };

  it(
    'a database that does not own the log builds no read models from it',
    async () => {
      expect(await openmusic(['projections', 'rebuild'], env)).toMatchObject({
        code: 1,
        output: expect.stringContaining('has never seen this log'),
      });
    },
    LONG_MS,
  );

  it(
    'a valid record cannot be declared void, also where a partition is stopped at it',
    async () => {
      const schema = `${system.namespace}_read_${READ_VERSION}_1`;
      const where = `topic = '${system.namespace}.catalog' AND partition = 1`;
      await sql(`UPDATE "${schema}".checkpoints SET next = 0, stopped = 'another log' WHERE ${where}`);
      expect(await system.cli('log', 'void', `${system.namespace}.catalog/1@0`, '--why', 'a test')).toMatchObject({
        code: 1,
        output: expect.stringContaining('is sound'),
      });
      await sql(`UPDATE "${schema}".checkpoints SET next = 1, stopped = NULL WHERE ${where}`);
    },
    LONG_MS,
  );

  it(
    'a database that does not own the log takes it over past what was declared void',
    async () => {
      const outsider = await openStrangerClient(system.env.KAFKA_BROKERS!.split(','));
      const catalog = { topic: `${system.namespace}.catalog`, partition: 0 };
      const record = withCorruptHeader(claim({ stream: `genesis-${catalog.topic}-0` }));
      await outsider.produce(catalog, record);
      const adopt = () => openmusic(['log', 'adopt', '--fence', '--owner', showOwner(owner)], env);
      expect(await adopt()).toMatchObject({ code: 1, output: expect.stringContaining('No reader gets past it') });
      const [known] = await sql<{ incarnation: string }>(`SELECT incarnation FROM "${system.namespace}".log_identity`);
      const span = { ...catalog, offset: 1, lastOffset: 1 };
      const voided = { type: 'PositionVoided', ...span, incarnation: known!.incarnation, reason: 'a test' } as const;
      const at = '2026-11-22T21:06:18.353Z';
      await outsider.produce({ topic: `${system.namespace}.voids`, partition: 0 }, voidRecord({ ...voided, at }));
      await outsider.close();
      expect((await openmusic(['log', 'verify'], env)).output).toContain('1 declared void');
      expect(await adopt()).toMatchObject({ code: 0 });
    },
    LONG_MS,
  );

  it(
    'the API exits by itself, and cannot be started again',
    async () => {
      const [api] = system.apis;
      expect(await api!.ended).toBe(1);
      expect(linesOf(api!, 'the log has another owner')).toHaveLength(1);
      const reason = `the log belongs to the database ${showOwner(await ownerOf(other.connection))}`;
      const { systemIdentifier, databaseOid } = owner;
      await sql(`UPDATE "${system.namespace}".log_identity SET owned = true,
        owner_system_identifier = '${systemIdentifier}', owner_database_oid = '${databaseOid}'`);
      expect(await refusalOf({ ...system.env, ROLES: 'api' })).toContain(reason);
      expect(await system.cli('projections', 'rebuild')).toMatchObject({
        code: 1,
        output: expect.stringContaining(reason),
      });
    },
    LONG_MS,
  );

  it(
    'the API of a database that was restored with another identity is told to claim the log, every time',
    async () => {
      await sql(`UPDATE "${system.namespace}".log_identity SET owned = true, owner_database_oid = '1'`);
      for (let times = 2; times > 0; times--) {
        expect(await refusalOf({ ...system.env, ROLES: 'api' })).toContain('log adopt --claim');
      }
    },
    LONG_MS,
  );

  it(
    'a fence that was interrupted after its last record stays one when --claim completes it: no job is taken over at once',
    async () => {
      await sql(`DELETE FROM "${system.namespace}".log_identity`, other.connection);
      expect(await openmusic(['log', 'adopt', '--claim'], env)).toMatchObject({ code: 0 });
      const text = `SELECT adopted_at AS at FROM "${system.namespace}".log_identity`;
      expect(await sql(text, other.connection)).toEqual([{ at: expect.any(Date) }]);
    },
    LONG_MS,
  );
});
