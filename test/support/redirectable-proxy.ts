import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Link, startProxy } from './proxy.ts';

/** A proxy to a server of this machine that can be lost or slow, and can be redirected to another one. */
export interface RedirectableProxy {
  readonly host: string;
  readonly port: number;
  /** Breaks every connection, and rejects new ones. */
  cut(): void;
  /** Connections stay open; no byte passes until the proxy is mended. */
  block(): void;
  /** Delays every answer of the server by this time; read for each of them. */
  slow(lateMs: () => number): void;
  /** Ends all of that. */
  restore(): void;
  /** Breaks every connection, and redirects new ones to another port. Does nothing when the proxy leads there already. */
  redirectTo(port: number): void;
  close(): Promise<void>;
}

interface State {
  readonly isCut: boolean;
  readonly lateMs: () => number;
  /** No byte passes before it is resolved. */
  readonly open: Promise<void>;
}

const mended: State = { isCut: false, lateMs: () => 0, open: Promise.resolve() };

export async function openRedirectableProxy(to: number): Promise<RedirectableProxy> {
  let target = to;
  let state = mended;
  let unblock: () => void = () => undefined;
  const links = new Set<Link>();
  const server = {
    host: '127.0.0.1',
    /** Read for every connection. */
    get port() {
      return target;
    },
  };

  /** In order of arrival, each chunk when it is due. */
  function pass(from: Socket, into: Socket, lateMs: () => number): void {
    let passed = Promise.resolve();
    from.on('data', (piece: Buffer) => {
      const due = performance.now() + lateMs();
      passed = passed.then(async () => {
        await state.open;
        const early = due - performance.now();
        if (early > 0) await delay(early);
        into.write(piece);
      });
    });
  }

  const proxy = await startProxy(server, (link) => {
    links.add(link);
    link.client.once('close', () => links.delete(link));
    if (state.isCut) link.cut();
    pass(link.client, link.server, () => 0);
    pass(link.server, link.client, () => state.lateMs());
  });

  function become(next: Partial<State>): void {
    unblock();
    state = { ...mended, ...next };
  }
  const cutAll = () => links.forEach((link) => link.cut());

  return {
    host: proxy.host,
    port: proxy.port,
    cut() {
      become({ isCut: true });
      cutAll();
    },
    block() {
      const { promise, resolve } = Promise.withResolvers<void>();
      become({ open: promise });
      unblock = resolve;
    },
    slow: (lateMs) => become({ lateMs }),
    restore: () => become({}),
    redirectTo(port) {
      if (target === port) return;
      target = port;
      cutAll();
    },
    close() {
      become({});
      return proxy.close();
    },
  };
}
