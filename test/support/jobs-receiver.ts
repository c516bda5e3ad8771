import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Settings } from './distributed.ts';

/** A mail in transit: from its arrival until it was answered, or its sender disconnected. */
interface Call {
  readonly messageId: string;
  readonly beganAt: number;
  readonly endedAt: number | undefined;
  readonly isAnswered: boolean;
}

/** A receiver of posted mails that answers each after a delay: duplicate and concurrent deliveries are visible here. */
export interface Receiver {
  readonly settings: Settings;
  readonly calls: readonly Call[];
  /** From now on it answers each mail when this resolves. */
  take(how: () => Promise<unknown>): void;
  stop(): Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const calls: { -readonly [Key in keyof Call]: Call[Key] }[] = [];
  let how = () => Promise.resolve() as Promise<unknown>;
  const server = createServer((request, response) => {
    const messageId = String(request.headers['idempotency-key']);
    const call: (typeof calls)[number] = {
      messageId,
      beganAt: performance.now(),
      endedAt: undefined,
      isAnswered: false,
    };
    calls.push(call);
    const answer = Promise.all([text(request), how()]);
    response.once('close', () => (call.endedAt = performance.now()));
    void answer.then(
      () => {
        if (response.destroyed) return;
        call.isAnswered = true;
        response.writeHead(204).end();
      },
      () => undefined,
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    settings: {
      MAIL_PROVIDERS: 'webhook',
      MAIL_WEBHOOK_ALLOW_PRIVATE: 'on',
      MAIL_WEBHOOK_SECRET: 's'.repeat(32),
      MAIL_WEBHOOK_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    },
    calls,
    take(next) {
      how = next;
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Pairs of calls for the same mail of which one began before the other had ended. */
export function overlapsOf(calls: readonly Call[]): [Call, Call][] {
  const byMail = Map.groupBy(calls, ({ messageId }) => messageId);
  return [...byMail.values()].flatMap((same) =>
    same.slice(1).flatMap((call, index): [Call, Call][] => {
      const before = same[index]!;
      return (before.endedAt ?? Infinity) > call.beganAt ? [[before, call]] : [];
    }),
  );
}
