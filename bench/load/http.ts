import { once } from 'node:events';
import autocannon from 'autocannon';
import { type LoadResult, measure, type Meter, type Window } from './meter.ts';

export interface HttpLoad extends Window {
  readonly kind: 'http';
  readonly url: string;
  readonly method: 'GET' | 'POST';
  /** Asked for in turn. */
  readonly paths: readonly string[];
  readonly body?: string;
  readonly connections: number;
}

export const loadHttp = (load: HttpLoad): Promise<LoadResult> => measure(load, (meter) => cannonade(load, meter));

const LONG_ENOUGH_SECONDS = 86_400;

/** autocannon, with our own clock: its latencies are whole milliseconds. Returns what stops it. */
function cannonade({ url, method, paths, body, connections }: HttpLoad, meter: Meter): () => Promise<void> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const requests = paths.map((path) => ({ method, path, body, headers }));
  const cannon = autocannon({ url, connections, requests, duration: LONG_ENOUGH_SECONDS, sampleInt: 50 }, ignore);
  cannon.on('response', (_client, status, _bytes, ms) => {
    if (status >= 200 && status < 300) meter.done(ms);
    else meter.failed();
  });
  cannon.on('reqError', () => meter.failed());
  return async () => {
    const done = once(cannon, 'done');
    cannon.stop();
    await done;
  };
}

const ignore = () => undefined;
