import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import ipaddr from 'ipaddr.js';
import type { RedisConnection } from '../cache/redis.ts';
import { HttpError } from './errors.ts';

/** At most so many requests of one sender in so many seconds. */
export interface Rate {
  readonly count: number;
  readonly seconds: number;
}

/** `60/60` or `off`, as settings say it. */
export function rateOf(setting: string): Rate | undefined {
  const [count, seconds] = setting.split('/').map(Number);
  return count !== undefined && seconds !== undefined ? { count, seconds } : undefined;
}

export type Rates = Readonly<Record<'login' | 'register' | 'jobs' | 'covers' | 'default', Rate | undefined>>;

export interface Counters {
  readonly redis: RedisConnection['client'];
  readonly namespace: string;
}

/** Counts in the one Redis of all processes, or else in this process. Without its Redis nothing is limited. Registers before the routes. */
export function countRequests(app: FastifyInstance, counters: Counters | undefined): void {
  const shared = counters && { redis: counters.redis, nameSpace: `${counters.namespace}:rate:`, skipOnError: true };
  app.register(rateLimit, { global: false, ...shared });
}

/** Stands before a route that takes no more than `rate` from one sender; before none when there is no rate. */
export function limited(
  app: FastifyInstance,
  name: string,
  rate: Rate | undefined,
  senderOf: (request: FastifyRequest) => string = byAddress,
): onRequestAsyncHookHandler[] {
  if (!rate) return [];
  const { count, seconds } = rate;
  const keyGenerator = (request: FastifyRequest) => `${name} ${senderOf(request)}`;
  const look = app.createRateLimit({ max: count, timeWindow: seconds * 1_000, keyGenerator });
  return [
    async (request, reply) => {
      const state = await look(request);
      if (state.isAllowed || state.ttl <= 0) return; // nobody has counted
      tell(reply, 'ratelimit-policy', `"${name}";q=${count};w=${seconds}`);
      tell(reply, 'ratelimit', `"${name}";r=${state.remaining};t=${state.ttlInSeconds}`);
      if (state.isExceeded) throw tooMany(state.ttlInSeconds);
    },
  ];
}

/** One item more of a list: a request can be counted by several limits. */
function tell(reply: FastifyReply, header: string, item: string): void {
  const before = reply.getHeader(header);
  reply.header(header, typeof before === 'string' ? `${before}, ${item}` : item);
}

const byAddress = ({ ip }: FastifyRequest): string => senderAt(ip);

/** Whoever has an IPv6 address has 2⁶⁴ of them. A proxy may call its clients by other names than addresses. */
function senderAt(ip: string): string {
  if (!ipaddr.isValid(ip)) return ip;
  const address = ipaddr.process(ip);
  return 'parts' in address ? address.parts.slice(0, 4).join(':') : address.toString();
}

const tooMany = (seconds: number) =>
  new HttpError({
    status: 429,
    code: 'TOO_MANY_REQUESTS',
    message: `Too many requests. Please try again in ${seconds} s.`,
    headers: { 'retry-after': String(seconds) },
  });
