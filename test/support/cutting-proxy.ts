import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { type Link, startProxy } from './proxy.ts';

/** A proxy to Postgres that can lose an answer, or every connection of one application. */
export interface CuttingProxy {
  readonly connection: PostgresConnection;
  /** Drops the next answer of the server, and closes the connection that waits for it. */
  cutNextAnswer(): void;
  /** Closes all connections of this application name, and every later one as soon as it sends its name. */
  ban(application: string): void;
  unban(): void;
  close(): Promise<void>;
}

export async function startCuttingProxy(connection: PostgresConnection): Promise<CuttingProxy> {
  let armed = false;
  let banned: string | undefined;
  const names = new Map<Link, string>();
  const isBanned = (name: string) => banned !== undefined && name.includes(`\0application_name\0${banned}\0`);

  const proxy = await startProxy(connection, (link) => {
    const { client, server } = link;
    client.once('data', (startup: Buffer) => {
      names.set(link, startup.toString('latin1'));
      if (isBanned(startup.toString('latin1'))) link.cut();
    });
    client.once('close', () => names.delete(link));
    client.pipe(server);
    server.on('data', (answer) => {
      if (armed) link.cut();
      else client.write(answer);
      armed = false;
    });
  });
  return {
    connection: { ...connection, host: proxy.host, port: proxy.port },
    cutNextAnswer: () => void (armed = true),
    ban(application) {
      banned = application;
      for (const [link, name] of names) if (isBanned(name)) link.cut();
    },
    unban: () => void (banned = undefined),
    close: () => proxy.close(),
  };
}
