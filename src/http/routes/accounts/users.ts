import type { FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Accounts } from '../../../accounts/accounts.ts';
import type { GuessesUnder } from '../../../accounts/guesses.ts';
import { answer, failures } from '../../openapi.ts';
import { passwordAttemptOf } from './password-attempts.ts';
import { type IdempotencyKeys, originOf } from '../../origin.ts';
import { limited, type Rate } from '../../rate-limits.ts';
import { password, success, text, username, writeHeaders } from '../../schemas.ts';

export interface UserDependencies {
  readonly accounts: Accounts;
  readonly idempotencyKeys: IdempotencyKeys;
  /** Counts wrong passwords. */
  readonly guessesOf: (request: FastifyRequest) => GuessesUnder;
  /** Limit of registrations. */
  readonly rate: Rate | undefined;
}

const schemas = {
  register: {
    tags: ['users'],
    operationId: 'registerUser',
    summary: 'Register',
    headers: writeHeaders,
    body: z
      .strictObject({
        username: username('Unique.', 'chris'),
        password: password('At least 6 characters.').min(6),
        fullname: text('Name to show.', 'Chris Martin'),
      })
      .meta({ id: 'Registration' }),
    response: {
      201: answer('Registered.', success(z.strictObject({ userId: z.string() })), ['idempotency-replayed']),
      ...failures(400, 413, 415, 422, 429, 503),
    },
  },
};

export const userRoutes =
  ({ accounts, idempotencyKeys, guessesOf, rate }: UserDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const onRequest = limited(app, 'register', rate);

    app.post('/users', { schema: schemas.register, onRequest }, async (request, reply) => {
      const { username, fullname } = request.body;
      // The body hash leaves out the password, because a fast hash could be guessed: the password is compared with its slow hash.
      const origin = originOf(request, idempotencyKeys, { username, fullname });
      const { id, replayed } = await accounts.register(
        request.body,
        origin,
        passwordAttemptOf(request, reply, guessesOf),
      );
      if (replayed) reply.header('idempotency-replayed', 'true');
      return reply.code(201).send({ status: 'success', data: { userId: id } });
    });

    registered();
  };
