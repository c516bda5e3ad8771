import { hash } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import ipaddr from 'ipaddr.js';
import type { Guesses, GuessesUnder } from '../accounts/guesses.ts';
import type { RedisConnection } from '../cache/redis.ts';
import { NETWORK_FACTOR } from '../concurrency/places.ts';
import { LocalCounters } from './counters.ts';
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

export type Rates = Readonly<
  Record<'login' | 'failures' | 'register' | 'jobs' | 'covers' | 'default', Rate | undefined>
>;

export interface Counters {
  readonly redis: RedisConnection['client'];
  readonly namespace: string;
}

/** Counts in the one Redis of all processes, or else in this process. Without its Redis nothing is limited. Registers before the routes. */
export function countRequests(app: FastifyInstance, counters: Counters | undefined): void {
  const shared = counters && { redis: counters.redis, nameSpace: `${counters.namespace}:rate:`, skipOnError: true };
  app.register(rateLimit, { global: false, ...(shared ?? { store: LocalCounters }) });
}

type SenderOf = (request: FastifyRequest) => string | undefined;

/** Stands before a route that takes no more than `rate` from one account, or from one address; before none when there is no rate. */
export function limited(
  app: FastifyInstance,
  name: string,
  rate: Rate | undefined,
  accountOf?: SenderOf,
): onRequestAsyncHookHandler[] {
  if (!rate) return [];
  if (accountOf) return [limit(app, name, rate, accountOf)];
  const ofNetwork = { ...rate, count: rate.count * NETWORK_FACTOR };
  return [limit(app, name, rate, senderOf), limit(app, `${name}-network`, ofNetwork, networkOf)];
}

function limit(app: FastifyInstance, name: string, rate: Rate, of: SenderOf): onRequestAsyncHookHandler {
  const { count, seconds } = rate;
  const keyGenerator = (request: FastifyRequest) => `${name} ${of(request) ?? ''}`;
  const look = app.createRateLimit({ max: count, timeWindow: seconds * 1_000, keyGenerator });
  return async (request, reply) => {
    if (of(request) === undefined) return;
    const state = await look(request);
    if (state.isAllowed || state.ttl <= 0) return; // nothing was counted
    tell(reply, 'ratelimit-policy', `"${name}";q=${count};w=${seconds}`);
    tell(reply, 'ratelimit', `"${name}";r=${state.remaining};t=${state.ttlInSeconds}`);
    if (state.isExceeded) throw tooMany(state.ttlInSeconds);
  };
}

/** Counts wrong passwords under names; `guesses(request, name)` says whether there may be another one under it. */
export function limitGuesses(app: FastifyInstance, rate: Rate | undefined): (request: FastifyRequest) => GuessesUnder {
  if (!rate) return () => () => UNLIMITED;
  const names = new WeakMap<FastifyRequest, string>();
  const keyGenerator = (request: FastifyRequest) => `failures ${names.get(request) ?? ''}`;
  const look = app.createRateLimit({ max: rate.count, timeWindow: rate.seconds * 1_000, keyGenerator });
  return (request) => (name) => {
    names.set(request, hash('sha256', name, 'base64url'));
    return {
      async mustBeAllowed() {
        const state = await look(request, { increment: false });
        if (!state.isAllowed && state.ttl > 0 && state.remaining === 0) throw tooMany(state.ttlInSeconds);
      },
      async failed() {
        await look(request);
      },
    };
  };
}

const UNLIMITED: Guesses = { mustBeAllowed: () => Promise.resolve(), failed: () => Promise.resolve() };

/** One item more of a list: a request can be counted by several limits. */
function tell(reply: FastifyReply, header: string, item: string): void {
  const before = reply.getHeader(header);
  reply.header(header, typeof before === 'string' ? `${before}, ${item}` : item);
}

/**
 * The address of a request, of IPv6 its /56: a customer of a provider gets one, and 256 of them are one /48, which is given to anybody
 * who asks. A proxy may call its clients by other names than addresses.
 */
export function senderOf({ ip }: FastifyRequest): string {
  const address = addressOf(ip);
  if (!address) return ip;
  return address instanceof ipaddr.IPv6 ? prefixOf(address, 56) : address.toString();
}

/** The /48 of an IPv6 address. */
export function networkOf({ ip }: FastifyRequest): string | undefined {
  const address = addressOf(ip);
  return address instanceof ipaddr.IPv6 ? prefixOf(address, 48) : undefined;
}

const addressOf = (ip: string) => (ipaddr.isValid(ip) ? ipaddr.process(ip) : undefined);

const prefixOf = (address: ipaddr.IPv6, bits: number): string =>
  `${ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${bits}`).toString()}/${bits}`;

const tooMany = (seconds: number) =>
  new HttpError({
    status: 429,
    code: 'TOO_MANY_REQUESTS',
    message: `Too many requests. Please try again in ${seconds} s.`,
    headers: { 'retry-after': String(seconds) },
  });
