import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { findAlbum } from '../../src/projections/albums.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { type Api, type Core, type CoreOptions, embeddedSource, type LogSource, openCore } from '../support/core.ts';
import { crashPostgres, serving, signalPostgres, WAL_WRITER } from '../support/postgres-crash.ts';
import {
  createDatabase,
  type NativePostgres,
  startNativePostgres,
  type TestDatabase,
} from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';
import { recordsOf } from '../support/records.ts';

let postgres: NativePostgres;
let elsewhere: TestDatabase;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  // Asynchronous commits stay in memory long enough for a crash to lose them.
  elsewhere = await createDatabase();
  postgres = await startNativePostgres({ settings: { wal_writer_delay: '10s', wal_writer_flush_after: '1GB' } });
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await postgres.stop();
  await elsewhere.drop();
});

/** A log on a server that does not crash, and whose flushes do not flush the projector's commits, like Kafka. */
const logElsewhere: LogSource = {
  ...embeddedSource,
  async open(_, name) {
    await migrate({ connection: elsewhere.connection, namespace: name });
    return embeddedSource.open(elsewhere.connection, name);
  },
};

async function open(options: Partial<CoreOptions> = {}): Promise<Core> {
  const core = await openCore({ connection: postgres.connection, ...options });
  closing.push(() => core.close());
  return core;
}

const crash = () => crashPostgres(postgres.connection, serving('openmusic reads', 'openmusic anchor'));

async function guards(core: Core): Promise<number> {
  return (await core.admin.query({ text: 'SELECT FROM crash_guard' })).length;
}

/** Creates and changes albums one after the other and reads acknowledged ones all the time, until stopped. */
function startLoad(writer: Api, readers: readonly Api[], writers = 8) {
  const acknowledged = new Map<string, number>();
  const contradictions: string[] = [];
  const failures = new Set<string>();
  let running = true;
  let reads = 0;
  const attempt = async (work: () => Promise<void>) => {
    await work().catch((error: unknown) => {
      failures.add(String(error));
    });
  };
  const writing = Array.from({ length: writers }, async (_, index) => {
    for (let round = 0; running; round++) {
      await attempt(async () => {
        const { id, version } = await writer.createAlbum(`${index}.${round}`);
        acknowledged.set(id, version);
        acknowledged.set(id, (await writer.changeAlbum(id, 'changed')).version);
      });
    }
  });
  const reading = readers.map(async (reader) => {
    while (running) {
      const [id, version] =
        [...acknowledged].at(-1 - Math.floor(Math.random() * Math.min(acknowledged.size, 50))) ?? [];
      if (id === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      else
        await attempt(async () => {
          const found = await findAlbum(reader.reads, id);
          reads++;
          if ((found?.version ?? 0) < version!) contradictions.push(`${id}: ${found?.version}, not ${version}`);
        });
    }
  });
  return {
    acknowledged,
    contradictions,
    failures,
    reads: () => reads,
    async stop() {
      running = false;
      await Promise.all([...writing, ...reading]);
    },
  };
}

describe('after a crash of Postgres', () => {
  it.each([
    ['the log on another server', logElsewhere],
    ['the log in the same Postgres', embeddedSource],
  ])('under load, with %s, no read contradicts an earlier answer, and service resumes by itself', async (_, source) => {
    const core = await open({ source });
    const [writer, reader] = [await core.openApi(), await core.openApi()];
    const load = startLoad(writer, [writer, reader, reader]);
    for (let crashes = 1; crashes <= 2; crashes++) {
      const [written, read] = [load.acknowledged.size, load.reads()];
      await until(
        () => Promise.resolve(load.acknowledged.size > written + 50 && load.reads() > read + 50),
        30_000,
        () => `no service: ${[...load.failures].join('; ')}; ${reader.reports.join('; ')}`,
      );
      await crash();
    }
    const written = load.acknowledged.size;
    await until(
      () => Promise.resolve(load.acknowledged.size > written + 50),
      30_000,
      () => [...load.failures].join('; '),
    );
    await load.stop();
    expect(load.contradictions).toEqual([]);
    for (const [id, version] of load.acknowledged) {
      expect((await findAlbum(reader.reads, id))?.version).toBeGreaterThanOrEqual(version);
    }
    await core.settled();
    expect(core.projectorReports.stopped).toEqual([]);
    const versions = (await core.rows<{ version: number }>('albums')).map(({ version }) => version);
    expect(Math.max(...versions)).toBe(2);
  });

  it('when announced commits are lost, no connection reads without them, and the guard is set again once they are back', async () => {
    const core = await open({ source: logElsewhere });
    const api = await core.openApi();
    const { id: first } = await api.createAlbum('flushed');
    await core.admin.query({ text: 'CHECKPOINT' });
    expect(await guards(core)).toBe(1);
    await signalPostgres(postgres.connection, WAL_WRITER, 'SIGSTOP'); // it would flush them every ten seconds
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push((await api.createAlbum(`${n}`)).id);
    const rowsBefore = (await core.rows('albums')).length;
    await core.stopProjectors();
    await crashPostgres(postgres.connection, WAL_WRITER);
    expect(await guards(core)).toBe(0);
    expect(await missing(core, ids)).toBeGreaterThan(0);
    await expect(findAlbum(api.reads, first)).rejects.toMatchObject({ code: 'CATCHING_UP', retryAfter: 1 });
    expect(await guards(core)).toBe(0);
    await core.startProjectors();
    await until(
      async () => (await findAlbum(api.reads, ids.at(-1)!).catch(() => undefined)) !== undefined,
      30_000,
      () => 'it stays behind',
    );
    expect(await missing(core, ids)).toBe(0);
    expect((await core.rows('albums')).length).toBe(rowsBefore);
    expect(await guards(core)).toBe(1);
  });

  it('a projector without new records applies again what the crash lost', async () => {
    const core = await open({ source: logElsewhere });
    const api = await core.openApi();
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push((await api.createAlbum(`${n}`)).id);
    await crash();
    await until(
      async () => (await findAlbum(api.reads, ids.at(-1)!).catch(() => undefined)) !== undefined,
      30_000,
      () => `it stays behind: ${JSON.stringify(core.projectors!.health())}; ${api.reports.join('; ')}`,
    );
    for (const id of ids) expect(await findAlbum(api.reads, id)).toBeDefined();
    expect(await api.changeAlbum(ids[0]!, 'goes on')).toMatchObject({ version: 2 });
  });

  it('no announced commit is lost where commits are synchronous', async () => {
    const core = await open({ source: logElsewhere, synchronousCommit: true });
    const api = await core.openApi();
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push((await api.createAlbum(`${n}`)).id);
    await core.stopProjectors();
    await crash();
    expect(await missing(core, ids)).toBe(0);
    expect((await findAlbum(api.reads, ids[0]!))?.version).toBe(1);
  });

  /** How many of the albums have no row. */
  async function missing(core: Core, ids: readonly string[]): Promise<number> {
    const rows = new Set((await core.rows<{ id: string }>('albums')).map(({ id }) => id));
    return ids.filter((id) => !rows.has(id)).length;
  }
});

describe('a new connection of the read model', () => {
  it('waits while the projector is behind, and reports when that takes too long', async () => {
    const core = await open();
    const writer = await core.openApi();
    const { id } = await writer.createAlbum();
    await core.stopProjectors();
    const { placement } = core;
    await core.append(
      placement.place(id),
      recordsOf(await core.log.read({ ...placement.place(id), offset: 0 })).at(-1)!,
    );
    const api = await core.openApi({ waiting: false });
    await expect(findAlbum(api.reads, id)).rejects.toMatchObject({ code: 'NOT_READY' });
    await until(
      () => Promise.resolve(api.reports.length > 0),
      30_000,
      () => 'it does not complain',
    );
    expect(api.reports[0]).toMatch(/not caught up/);
    await core.startProjectors();
    await api.reads.ready();
    expect(await findAlbum(api.reads, id)).toBeDefined();
  });

  it('does not wait beside others that passed the guard already', async () => {
    const core = await open();
    const api = await core.openApi({ max: 5 });
    const { id } = await api.createAlbum();
    await core.stopProjectors();
    await core.append(core.catalog(0), { key: 'stranger', value: Buffer.alloc(0), headers: {} });
    const all = await Promise.all(Array.from({ length: 5 }, () => findAlbum(api.reads, id)));
    expect(all.every((found) => found?.version === 1)).toBe(true);
  });
});
