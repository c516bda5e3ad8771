import { once } from 'node:events';
import autocannon from 'autocannon';
import { type LoadResult, measure, type Meter, type Window } from './meter.ts';
import { type VersionWatch, watchVersions } from './versions.ts';

/** What is sent. */
export interface Requests {
  readonly method: 'GET' | 'POST';
  /** Requested in turn; each connection begins at another one. */
  readonly paths: readonly string[];
  /**
   * Of several bodies, each is sent to every path before the next one: no path receives the same body twice over any connection, as
   * long as there are enough.
   */
  readonly body?: string | readonly string[];
  /** An access token. Several are sent as several bodies are. */
  readonly token?: string | readonly string[];
  /** Access tokens of the paths, one for each, in place of `token`. */
  readonly tokens?: readonly string[];
  /** Check every answer: the load fails if one is older than an answer that came before its request. */
  readonly isWatched?: boolean;
}

export interface HttpLoad extends Window, Requests {
  readonly kind: 'http';
  readonly url: string;
  readonly connections: number;
}

export async function loadHttp(load: HttpLoad): Promise<LoadResult> {
  const watch = load.isWatched ? watchVersions() : undefined;
  const result = await measure(load, (meter) => cannonade(load, meter, watch));
  if (watch && watch.older > 0) throw new Error(`${watch.older} answers were older than others that had come before`);
  return result;
}

const LONG_ENOUGH_SECONDS = 86_400;

/** Runs autocannon with our own clock, because its latencies are whole milliseconds. Returns what stops it. */
function cannonade(load: HttpLoad, meter: Meter, watch?: VersionWatch): () => Promise<void> {
  const { url, connections } = load;
  const requests = requestsOf(load);
  const setupClient = spreading(requests, connections, watch);
  const duration = LONG_ENOUGH_SECONDS;
  const cannon = autocannon({ url, connections, requests, setupClient, duration, sampleInt: 50 }, ignore);
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

/** Rotates the paths, because connections that all begin with the first would request the same one at the same time. */
function spreading(requests: readonly autocannon.Request[], connections: number, watch?: VersionWatch) {
  let begun = 0;
  return (client: autocannon.Client) => {
    const first = Math.floor((begun++ * requests.length) / connections) % requests.length;
    const turned = [...requests.slice(first), ...requests.slice(0, first)];
    client.setRequests(watch?.watched(turned) ?? turned);
  };
}

function requestsOf({ method, paths, body, token, tokens: tokenOf }: HttpLoad): autocannon.Request[] {
  const [bodies, tokens] = [[body].flat(), [token].flat()];
  const requestOf = (path: string | undefined, round: number): autocannon.Request => {
    const [content, bearer] = [bodies[round % bodies.length], tokens[round % tokens.length]];
    return { method, path, body: content, headers: headersOf(content, bearer) };
  };
  if (tokenOf)
    return paths.map((path, index) => ({ ...requestOf(path, 0), headers: headersOf(bodies[0], tokenOf[index]) }));
  if (bodies.length === 1 && tokens.length === 1) return paths.map((path) => requestOf(path, 0));
  let sent = 0;
  const setupRequest = (request: autocannon.Request): autocannon.Request => {
    const turn = sent++;
    return { ...request, ...requestOf(paths[turn % paths.length], Math.floor(turn / paths.length)) };
  };
  return [{ method, setupRequest }];
}

const headersOf = (body: string | undefined, token: string | undefined) => ({
  ...(body !== undefined && { 'content-type': 'application/json' }),
  ...(token !== undefined && { authorization: `Bearer ${token}` }),
});

const ignore = () => undefined;
