import type { FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Accounts } from '../../../accounts/accounts.ts';
import type { GuessesUnder } from '../../../accounts/guesses.ts';
import type { Sessions } from '../../../accounts/sessions.ts';
import { REQUEST_LENGTH, storable } from '../../../text.ts';
import type { Tokens } from '../../auth.ts';
import { badInput, HttpError } from '../../errors.ts';
import { answer, failures } from '../../openapi.ts';
import { passwordAttemptOf } from './password-attempts.ts';
import { limited, type Rate } from '../../rate-limits.ts';
import { noStore } from '../../secure-headers.ts';
import { done, success } from '../../schemas.ts';

export interface AuthenticationDependencies {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly tokens: Tokens;
  /** Seconds. */
  readonly refreshTokenAge: number;
  /** Reloads the changes of access at once. */
  readonly recheckAccess: () => Promise<void>;
  /** Counts wrong passwords. */
  readonly guessesOf: (request: FastifyRequest) => GuessesUnder;
  /** Limit of logins. */
  readonly rate: Rate | undefined;
}

const refreshBody = z.strictObject({
  refreshToken: z.string().max(REQUEST_LENGTH).meta({ description: 'The refresh token of the login.' }),
});
const accessToken = z.string().meta({ description: 'For the header `Authorization: Bearer …`.' });

/** A login attempt is not refused for the length of its password. */
const givenPassword = storable(REQUEST_LENGTH).meta({ description: 'Of any length.', format: 'password' });

const tags = ['users'];
const schemas = {
  login: {
    tags,
    operationId: 'logIn',
    summary: 'Log in',
    description:
      'An account has at most 1,000 sessions: one more ends the oldest, whose refresh and access tokens are then refused.',
    body: z.strictObject({ username: storable(REQUEST_LENGTH), password: givenPassword }).meta({ id: 'Login' }),
    response: {
      201: answer('Logged in.', success(z.strictObject({ accessToken, refreshToken: z.string() }))),
      ...failures(400, 401, 403, 413, 415, 429, 503),
    },
  },
  refresh: {
    tags,
    operationId: 'refreshAccess',
    summary: 'Get a new access token',
    body: refreshBody,
    response: {
      200: answer('A new access token.', success(z.strictObject({ accessToken }))),
      ...failures(400, 413, 415, 503),
    },
  },
  logout: {
    tags,
    operationId: 'logOut',
    summary: 'Log out',
    description: 'The refresh token and the access tokens of its session are refused from then on.',
    body: refreshBody,
    response: { 200: answer('Logged out.', done('You are logged out.')), ...failures(400, 413, 415, 503) },
  },
};

export const authenticationRoutes =
  ({ accounts, sessions, tokens, refreshTokenAge, ...deps }: AuthenticationDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const onRequest = limited(app, 'login', deps.rate);
    app.addHook('onRequest', noStore);

    app.post('/authentications', { schema: schemas.login, onRequest }, async (request, reply) => {
      const { username, password } = request.body;
      const account = await accounts.authenticate(
        username,
        password,
        passwordAttemptOf(request, reply, deps.guessesOf),
      );
      if (!account) throw wrongCredentials();
      const { token: refreshToken, sessionId } = tokens.issueRefresh(account);
      await sessions.open(refreshToken, account.id, new Date(Date.now() + refreshTokenAge * 1_000));
      const data = { accessToken: tokens.issueAccess(account, sessionId), refreshToken };
      return reply.code(201).send({ status: 'success', data });
    });

    app.put('/authentications', { schema: schemas.refresh }, async ({ body: { refreshToken } }) => {
      const session = tokens.verifyRefresh(refreshToken);
      const account = session && (await sessions.find(refreshToken));
      if (!account) throw invalidToken();
      return { status: 'success' as const, data: { accessToken: tokens.issueAccess(account, session.sessionId) } };
    });

    app.delete('/authentications', { schema: schemas.logout }, async ({ body: { refreshToken } }) => {
      const session = tokens.verifyRefresh(refreshToken);
      if (!session || !(await sessions.close(session))) throw invalidToken();
      await deps.recheckAccess();
      return { status: 'success' as const, message: 'You are logged out.' };
    });

    registered();
  };

const wrongCredentials = () =>
  new HttpError({ status: 401, code: 'WRONG_CREDENTIALS', message: 'Username or password is wrong.' });

const invalidToken = () =>
  badInput('INVALID_REFRESH_TOKEN', 'This refresh token is not valid.', [
    { path: '/refreshToken', message: 'is not valid' },
  ]);
