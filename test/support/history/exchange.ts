import { type Agent, request as httpRequest } from 'node:http';
import { reasonOf } from '../../../src/errors.ts';
import type { Attempt, Outcome, PlannedRequest } from './history.ts';

export interface Exchange {
  readonly id: string;
  readonly url: string;
  readonly key?: string;
  readonly agent: Agent;
  readonly giveUpAfterMs: number;
}

/** Sends a request once, and returns its outcome. Never throws, and never sends anything twice, as `fetch` may. */
export async function attempt(request: PlannedRequest, exchange: Exchange): Promise<Attempt> {
  const start = performance.now();
  const outcome = await answered(request, exchange)
    .then(outcomeOf)
    .catch((error: unknown): Outcome => ({ kind: 'unknown', why: reasonOf(error) }));
  return { id: exchange.id, url: exchange.url, start, end: performance.now(), outcome };
}

interface Answer {
  readonly status: number;
  readonly etag: string | undefined;
  readonly replayed: boolean;
  readonly source: string | undefined;
  readonly text: string;
}

/** Replaces the hash of a tag: only its version counts for a condition. */
const ANY_CONTENT = 'any'.repeat(8);

function answered(request: PlannedRequest, { id, url, key, agent, giveUpAfterMs }: Exchange): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const body = request.json === undefined ? undefined : JSON.stringify(request.json);
  const follows = request.effect?.follows;
  const headers = {
    'x-request-id': id,
    ...(key !== undefined && { 'idempotency-key': key }),
    ...(request.as && { authorization: `Bearer ${request.as.accessToken}` }),
    ...(follows !== undefined && { 'if-match': `"${follows}-${ANY_CONTENT}"` }),
    ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  };
  const signal = AbortSignal.timeout(giveUpAfterMs);
  const sent = httpRequest(url + request.path, { method: request.method, headers, agent, signal }, (answer) => {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
    answer.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const { statusCode: status = 0, headers: its } = answer;
      const source = its['x-data-source'] as string | undefined;
      resolve({ status, etag: its.etag, replayed: its['idempotency-replayed'] === 'true', source, text });
    });
  });
  sent.on('error', reject).end(body);
  return promise;
}

function outcomeOf({ status, etag, replayed, source, text }: Answer): Outcome {
  const body: unknown = JSON.parse(text);
  if (status < 300) return { kind: 'ok', status, etag, replayed, source, body };
  const { code = 'none', message = '' } = body as { code?: string; message?: string };
  // The only 503 that guarantees that nothing was or will be written.
  if (status < 500 || code === 'LOG_UNAVAILABLE') return { kind: 'refused', status, code, etag };
  return { kind: 'unknown', status, why: `${status} ${code}: ${message}` };
}
