import { afterEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { buildHealthApp } from './health-app.ts';
import { createHealth, type Check, type HealthOptions, type Probe } from './health.ts';

const logger = pino({ level: 'silent' });
const good: Check = { ok: true, detail: 'fine' };
const bad: Check = { ok: false, detail: 'away' };

/** A probe whose result can be changed. */
function probe(needed: Probe['needed'], answer: Check | Error = good) {
  const made = { needed, answer, checks: 0, check: () => (made.checks++, settle(made.answer)) };
  return made;
}
const settle = (answer: Check | Error) => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer));

const make = (probes: Record<string, Probe>, options: Partial<HealthOptions> = {}) =>
  createHealth({ probes, logger, deadlineMs: 100, ...options });

describe('readiness', () => {
  it('has a line per dependency', async () => {
    const health = make({ database: probe('always'), cache: probe('at-start') });
    expect(await health.ready()).toEqual({ ok: true, reason: '', checks: { database: good, cache: good } });
  });

  it('fails whenever an always needed check fails', async () => {
    const database = probe('always');
    const health = make({ database });
    expect((await health.ready()).ok).toBe(true);
    database.answer = bad;
    expect(await health.ready()).toEqual({ ok: false, reason: 'database: away', checks: { database: bad } });
    database.answer = good;
    expect((await health.ready()).ok).toBe(true);
  });

  it('needs at-start checks only until it was ready once', async () => {
    const cache = probe('at-start', bad);
    const health = make({ cache });
    expect((await health.ready()).ok).toBe(false);
    cache.answer = good;
    expect((await health.ready()).ok).toBe(true);
    cache.answer = bad;
    expect(await health.ready()).toEqual({ ok: true, reason: '', checks: { cache: bad } });
  });

  it('fails while the process is stopping', async () => {
    const health = make({ cache: probe('at-start', bad) });
    await health.ready();
    health.leave();
    expect((await health.ready()).reason).toBe('the process is stopping; cache: away');
  });

  it('shows checks that are never needed', async () => {
    expect(await make({ quarantine: probe('never', bad) }).ready()).toMatchObject({
      ok: true,
      checks: { quarantine: bad },
    });
  });

  it('neither waits for a hanging check nor starts it again', async () => {
    const held = Promise.withResolvers<Check>();
    let checks = 0;
    const health = make({ log: { needed: 'always', check: () => (checks++, held.promise) } });
    const reports = await Promise.all([health.ready(), health.ready()]);
    expect(reports[0]).toMatchObject({ ok: false, checks: { log: { ok: false, detail: 'no answer within 100 ms' } } });
    await health.ready();
    expect(checks).toBe(1);
    held.resolve(good);
    await held.promise;
    expect((await health.ready()).ok).toBe(true);
  });

  it('shows only the code of an error', async () => {
    const error = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432 as admin'), { code: 'ECONNREFUSED' });
    const health = make({ database: probe('always', error), log: probe('always', new Error('password=x')) });
    const { checks } = await health.ready();
    expect(checks).toEqual({
      database: { ok: false, detail: 'failed (ECONNREFUSED)' },
      log: { ok: false, detail: 'failed' },
    });
  });

  it('survives a check that throws at once', async () => {
    const health = make({
      log: {
        needed: 'always',
        check: () => {
          throw new Error('x');
        },
      },
    });
    expect((await health.ready()).ok).toBe(false);
  });
});

describe('the log of what changes', () => {
  /** Levels and messages that were logged. */
  function recorded() {
    const lines: string[] = [];
    const write = (line: string) => {
      const { level, msg } = JSON.parse(line) as { level: number; msg: string };
      lines.push(`${pino.levels.labels[level]}: ${msg}`);
    };
    return { lines, logger: pino({}, { write }) };
  }

  it('has no warning while dependencies become ready one after another', async () => {
    const { lines, logger } = recorded();
    const reads = probe('at-start', new Error('not yet'));
    const health = make({ reads }, { logger });
    await health.ready();
    await health.ready();
    reads.answer = good;
    await health.ready();
    expect(lines).toEqual(['info: not ready yet', 'info: health changed']);
  });

  it('has one warning for a change for the worse, and for what never became well', async () => {
    const { lines, logger } = recorded();
    const database = probe('always');
    const health = make({ database, mail: probe('never', bad) }, { logger });
    await health.ready();
    database.answer = bad;
    await health.ready();
    await health.ready();
    expect(lines).toEqual(['info: not ready yet', 'warn: health changed', 'warn: health changed']);
  });
});

describe('the probes of a process without the API', () => {
  const started: { close(): Promise<unknown> }[] = [];
  afterEach(() => Promise.all(started.splice(0).map((app) => app.close())));

  function start(probes: Record<string, Probe>, options: Partial<HealthOptions> = {}) {
    const app = buildHealthApp({ health: make(probes, options), logger, metricsRegistry: new Registry() });
    started.push(app);
    return app;
  }

  it.each(['/readyz', '/health'])('%s is 200 or 503 with the same lines', async (url) => {
    const database = probe('always');
    const app = start({ database });
    const ready = await app.inject({ url });
    expect([ready.statusCode, ready.json()]).toEqual([
      200,
      { status: 'success', data: { checks: { database: good } } },
    ]);
    database.answer = bad;
    const unready = await app.inject({ url });
    expect([unready.statusCode, unready.headers['retry-after']]).toEqual([503, '1']);
    expect(unready.json()).toEqual({
      status: 'error',
      message: 'Not ready. database: away',
      code: 'NOT_READY',
      requestId: unready.headers['x-request-id'],
      data: { checks: { database: bad } },
    });
  });

  it('/livez checks no dependency, and fails when the process should be restarted', async () => {
    const database = probe('always', bad);
    let life = good;
    const app = start({ database }, { alive: () => life });
    expect((await app.inject({ url: '/livez' })).json()).toEqual({ status: 'success', data: { detail: 'fine' } });
    life = { ok: false, detail: 'openmusic.catalog/3 is stopped' };
    const answer = await app.inject({ url: '/livez' });
    expect([answer.statusCode, answer.json()]).toMatchObject([503, { code: 'NOT_ALIVE', message: life.detail }]);
    expect(database.checks).toBe(0);
  });

  it('include metrics, and nothing else', async () => {
    const app = start({});
    expect((await app.inject({ url: '/metrics' })).headers['content-type']).toMatch(/^text\/plain/);
    expect((await app.inject({ url: '/albums' })).statusCode).toBe(404);
    expect((await app.inject({ method: 'POST', url: '/livez' })).statusCode).toBe(405);
  });
});
