import path from 'node:path';
import Fastify from 'fastify';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { reasonOf } from '../errors.ts';
import { acceptTokens, OPERATOR } from '../http/auth.ts';
import { keysOf } from '../keys.ts';

export interface Api {
  /** Sends a request and returns `data` of its answer. Throws the answer's message when it is not a success. */
  call<Data>(
    method: string,
    path: string,
    data: z.ZodType<Data>,
    body?: object,
    idempotencyKey?: string,
  ): Promise<Data>;
}

const failure = z.object({ message: z.string(), code: z.string() });

/**
 * Opens the running API as an admin, by a token that it signs itself, because the server's key gives all rights. Only the server can
 * append to an embedded log, so the distributed system is asked in the same way. `url` is the base of the API; PUBLIC_URL by default.
 */
export async function openAdminApi(config: Config, url: string = config.publicUrl): Promise<Api> {
  return apiAt(url, await adminToken(config));
}

/** The API at that base, called as the account of the token, or anonymously without one. */
export function apiAt(base: string, token?: string): Api {
  return {
    async call(method, where, data, body, idempotencyKey) {
      const address = base.replace(/\/+$/, '') + where;
      const headers = {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      };
      const answer = await fetch(address, { method, headers, body: body && JSON.stringify(body) }).catch(
        (error: unknown) => {
          throw new Error(`${base} cannot be reached (${reasonOf(error)}). Start the server, or name it by --url.`);
        },
      );
      const content: unknown = await answer.json();
      if (!answer.ok) throw new Error(failure.parse(content).message);
      return z.object({ data }).parse({ data: undefined, ...(content as object) }).data;
    },
  };
}

async function adminToken(config: Config): Promise<string> {
  const keys = await keysOf(config, path.resolve(config.DATA_DIR));
  const app = Fastify();
  const tokens = acceptTokens(app, {
    access: { key: keys.ACCESS_TOKEN_KEY, age: 60 },
    refresh: { key: keys.REFRESH_TOKEN_KEY, age: 60 },
  });
  await app.ready();
  return tokens.issueAccess(OPERATOR);
}
