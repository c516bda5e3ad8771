import type { preHandlerHookHandler, preParsingHookHandler } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { forbidden } from '../../errors.ts';
import type { Append } from '../../log/event-log.ts';
import { listOf } from '../../text.ts';
import { mustBeLoggedIn, OPERATOR } from '../auth.ts';
import { done } from '../schemas.ts';

export interface LogRecordDependencies {
  /** Appends to an embedded log; undefined where `openmusic` commands can append themselves. */
  readonly appendRecords?: (batch: readonly Append[]) => Promise<void>;
}

/** A record of 512 kB in base64, and its headers. */
const BODY_BYTES = 2 * 2 ** 20;

const VALUE_LENGTH = BODY_BYTES;

const record = z.strictObject({
  topic: z.string().max(249),
  partition: z.int().nonnegative(),
  key: z.string().max(VALUE_LENGTH),
  /** In base64. */
  value: z.string().max(VALUE_LENGTH),
  headers: z.record(z.string(), z.string().max(VALUE_LENGTH)),
});

const body = z.strictObject({ records: listOf(record, 1_000) });

/**
 * For `openmusic log …` beside a server with an embedded log, because only the server may write to it. The route is not part of the
 * public API: it accepts only the token of a command, which is signed with the server's own key.
 */
export const logRecordRoutes =
  (
    append: NonNullable<LogRecordDependencies['appendRecords']>,
    preParsing: preParsingHookHandler,
  ): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    app.addHook('onRequest', mustBeLoggedIn);
    app.addHook('preHandler', mustBeOperator);
    const schema = { hide: true, body, response: { 200: done('The records are in the log.') } };
    app.post('/admin/log/records', { schema, preParsing, bodyLimit: BODY_BYTES }, async ({ body: { records } }) => {
      await append(
        records.map(({ topic, partition, key, headers, value }) => ({
          topic,
          partition,
          record: { key, headers, value: Buffer.from(value, 'base64') },
        })),
      );
      return { status: 'success' as const, message: 'The records are in the log.' };
    });
    registered();
  };

/** No stored account has the operator's id, not even an admin's. */
const mustBeOperator: preHandlerHookHandler = (request, _reply, next) => {
  if (request.account?.id === OPERATOR.id) next();
  else next(forbidden('Only an openmusic command on this machine may do this.'));
};
