import { hash } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import ipaddr from 'ipaddr.js';
import type { Guesses, GuessesUnder } from '../accounts/guesses.ts';
import type { RedisConnection } from '../cache/redis.ts';
import { NETWORK_FACTOR } from '../concurrency/places.ts';
import { LocalCounters } from './counters.ts';
import { HttpError } from './errors.ts';

/** At most `count` requests of one sender in `seconds`. */
export interface Rate {
  readonly count: number;
  readonly seconds: number;
}

/** Parses a setting: `60/60` or `off`. */
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

/** Counts in the Redis that all processes share, or in this process. While that Redis is down nothing is limited. Call it before the routes are registered. */
export function countRequests(app: FastifyInstance, counters: Counters | undefined): void {
  const shared = counters && { redis: counters.redis, nameSpace: `${counters.namespace}:rate:`, skipOnError: true };
  app.register(rateLimit, { global: false, ...(shared ?? { store: LocalCounters }) });
}

type SenderOf = (request: FastifyRequest) => string | undefined;

/** Hooks for a route that accepts at most `rate` from one account, or from one address; none when there is no rate. */
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
  const check = app.createRateLimit({ max: count, timeWindow: seconds * 1_000, keyGenerator });
  return async (request, reply) => {
    if (of(request) === undefined) return;
    const state = await check(request);
    if (state.isAllowed || state.ttl <= 0) return; // not counted
    addItem(reply, 'ratelimit-policy', `"${name}";q=${count};w=${seconds}`);
    addItem(reply, 'ratelimit', `"${name}";r=${state.remaining};t=${state.ttlInSeconds}`);
    if (state.isExceeded) throw tooMany(state.ttlInSeconds);
  };
}

/** Counts wrong passwords per name; the returned guesses refuse another attempt when there were too many. */
export function limitGuesses(app: FastifyInstance, rate: Rate | undefined): (request: FastifyRequest) => GuessesUnder {
  if (!rate) return () => () => UNLIMITED;
  const names = new WeakMap<FastifyRequest, string>();
  const keyGenerator = (request: FastifyRequest) => `failures ${names.get(request) ?? ''}`;
  const check = app.createRateLimit({ max: rate.count, timeWindow: rate.seconds * 1_000, keyGenerator });
  return (request) => (name) => {
    names.set(request, hash('sha256', name, 'base64url'));
    return {
      async mustBeAllowed() {
        const state = await check(request, { increment: false });
        if (!state.isAllowed && state.ttl > 0 && state.remaining === 0) throw tooMany(state.ttlInSeconds);
      },
      async failed() {
        await check(request);
      },
    };
  };
}

const UNLIMITED: Guesses = { mustBeAllowed: () => Promise.resolve(), failed: () => Promise.resolve() };

/** Adds an item to a list header: a request can be counted by several limits. */
function addItem(reply: FastifyReply, header: string, item: string): void {
  const before = reply.getHeader(header);
  reply.header(header, typeof before === 'string' ? `${before}, ${item}` : item);
}

/**
 * The address of a request; for IPv6 its /56, which is what a provider gives to one customer. 256 of them are a /48, which anyone can
 * get on request and which has a limit of its own. A proxy may name its clients by something other than addresses.
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
