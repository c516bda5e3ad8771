import path from 'node:path';
import { tmpdir } from 'node:os';
import { rm } from 'node:fs/promises';
import { createPlacement } from '../../src/events/placement.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { writeOut } from '../../src/transfer/destination.ts';
import { exportEvents } from '../../src/transfer/export.ts';
import { openLogReading } from '../../src/transfer/log-reading.ts';
import { selectionOf } from '../../src/transfer/selection.ts';
import { type Comparison, type Figure, type Plan } from '../figure.ts';
import { fill } from '../generator/fill.ts';
import { generate } from '../generator/generator.ts';
import { type LogPlace, openLog } from '../log.ts';
import type { CountingTime } from '../load/count-records.ts';
import { startChild } from '../processes.ts';
import { unflushed } from '../shapes.ts';
import { type Platform, startPlatform } from '../stack.ts';
import { type Contestant, seriesOf, takeTurns } from '../turns.ts';

const COUNTING = 'kafkajs consumer that counts';
const EVENTS = 200_000;
const QUICK_EVENTS = 20_000;
const placement = createPlacement('openmusic', 6);

export const logExport: Figure = {
  name: 'log-export',
  about: 'how fast the accepted events of a log on Kafka are written to a file as NDJSON',
  method: `A log of ${EVENTS.toLocaleString('en')} generated events on Kafka, and no read models. *Ours*: what \`openmusic log export\` does, from its
first look at the log to the end of the file: read, judge, decode, write, hash. *${COUNTING}*: kafkajs as it comes, in a process of its
own, reads the same topics and adds up the lengths of its batches; the time is that from its first batch to its last.`,
  overHttp: false,
  run: async (plan) => [await compare(plan)],
};

async function compare(plan: Plan): Promise<Comparison> {
  const events = plan.quick ? QUICK_EVENTS : EVENTS;
  plan.say(`making a log of ${events.toLocaleString('en')} events`);
  const platform = await startPlatform(unflushed);
  try {
    const total = await fillLog(platform.log, events);
    const [ours, counting] = await takeTurns([exporting(platform), countingOf(platform.log, total)], plan);
    if (!ours || !counting) throw new Error('Nothing was measured.');
    return {
      title: 'Kafka, records read',
      unit: '/s',
      notes: [],
      ours: seriesOf(ours, 'perSecond'),
      limits: [seriesOf(counting, 'perSecond')],
      asked: [{ limit: COUNTING, atLeast: 0.5 }],
    };
  } finally {
    await platform.stop();
  }
}

async function fillLog(place: LogPlace, events: number): Promise<number> {
  const log = await openLog(place, placement.namespace);
  try {
    await fill(log, generate({ placement, seed: 1, events }));
    return (await log.ends(placement.all)).reduce((sum, { offset }) => sum + offset, 0);
  } finally {
    await log.close();
  }
}

const exporting = ({ connection, log: place }: Platform): Contestant => ({
  name: 'ours',
  async run() {
    const file = path.join(tmpdir(), `openmusic-bench-${process.pid}.ndjson`);
    const admin = openDatabase(connection, { name: 'bench', max: 2, searchPath: [placement.namespace, 'public'] });
    const log = await openLog(place, placement.namespace);
    try {
      const began = performance.now();
      const reading = await openLogReading({ log, placement, admin, schema: undefined });
      const { chunks, counts } = exportEvents(reading, selectionOf({}, await log.ends(placement.all)), 'ndjson');
      await writeOut(chunks, file, new AbortController().signal);
      return { perSecond: (counts().events / (performance.now() - began)) * 1_000 };
    } finally {
      await log.close();
      await admin.stop();
      await rm(file, { force: true });
    }
  },
});

const countingOf = (place: LogPlace, total: number): Contestant => ({
  name: COUNTING,
  async run() {
    const broker = 'brokers' in place ? (place.brokers[0] ?? '') : '';
    const child = startChild('bench/load/count-records.ts', { args: [broker, String(total), ...placement.topics] });
    if ((await child.ended) !== 0) throw new Error(`the consumer ended:\n${child.output()}`);
    const { ms } = JSON.parse(child.output().trim().split('\n').at(-1) ?? '') as CountingTime;
    return { perSecond: (total / ms) * 1_000 };
  },
});
