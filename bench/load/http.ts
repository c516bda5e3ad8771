import { once } from 'node:events';
import autocannon from 'autocannon';
import { type LoadResult, measure, type Meter, type Window } from './meter.ts';

export interface HttpLoad extends Window {
  readonly kind: 'http';
  readonly url: string;
  readonly method: 'GET' | 'POST';
  /** Asked for in turn. */
  readonly paths: readonly string[];
  /**
   * Of several, one is sent to every path, and then the next one: no path is sent the same twice, whatever connection it comes
   * by, as long as there are enough.
   */
  readonly body?: string | readonly string[];
  /** An access token. */
  readonly token?: string;
  readonly connections: number;
}

export const loadHttp = (load: HttpLoad): Promise<LoadResult> => measure(load, (meter) => cannonade(load, meter));

const LONG_ENOUGH_SECONDS = 86_400;

/** autocannon, with our own clock: its latencies are whole milliseconds. Returns what stops it. */
function cannonade(load: HttpLoad, meter: Meter): () => Promise<void> {
  const { url, connections } = load;
  const requests = requestsOf(load);
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

function requestsOf({ method, paths, body, token }: HttpLoad): autocannon.Request[] {
  const headers = {
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  if (typeof body !== 'object') return paths.map((path) => ({ method, path, body, headers }));
  let sent = 0;
  const setupRequest = (request: autocannon.Request): autocannon.Request => {
    const turn = sent++;
    const [path, each] = [paths[turn % paths.length], body[Math.floor(turn / paths.length) % body.length]];
    return { ...request, path, body: each };
  };
  return [{ method, headers, setupRequest }];
}

const ignore = () => undefined;
