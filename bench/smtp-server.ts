import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { answerQuestions } from './answers.ts';

/** A message to the mail server: to start, or to return what it has received since the last such message. */
export type SmtpQuestion =
  { readonly question: 'listen'; readonly connections: number } | { readonly question: 'taken' };

/** A mail that it has received. */
export interface Taken {
  readonly messageId: string;
  /** In milliseconds of its own clock. */
  readonly ms: number;
}

let taken: Taken[] = [];

answerQuestions((asked: SmtpQuestion) =>
  asked.question === 'listen' ? listen(asked.connections) : Promise.resolve(give()),
);

function give(): Taken[] {
  const given = taken;
  taken = [];
  return given;
}

/** Resolves to the port. More connections are refused by 421. */
async function listen(maxClients: number): Promise<number> {
  const server = new SMTPServer({
    maxClients,
    logger: false,
    authOptional: true,
    disableReverseLookup: true,
    disabledCommands: ['STARTTLS'],
    onData: (stream, _session, done) => {
      buffer(stream)
        .then(take)
        .then(() => done(), done);
    },
  });
  server.on('error', () => undefined); // clients that are cut off
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  return (server.server.address() as AddressInfo).port;
}

function take(raw: Buffer): void {
  const head = raw.toString('latin1', 0, 2_000);
  const messageId = /^message-id: <(.+?)>/im.exec(head)?.[1] ?? '';
  taken.push({ messageId, ms: performance.now() });
}
