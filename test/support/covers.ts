import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { freePort } from './ports.ts';
import { type Answer, type Client, createClient } from './client.ts';
import type { Settings } from './distributed.ts';
import { type OpenMusicProcess, startProcess } from './processes.ts';
import { createDatabase, namespace } from './servers/index.ts';

/** The entry that runs in place of `src/main.ts`. */
export const FAST_HOURS = fileURLToPath(new URL('./fast-hours-main.ts', import.meta.url));
export const FAULTY = fileURLToPath(new URL('./faulty-main.ts', import.meta.url));

/** OpenMusic in one process, on a database of its own, for tests of covers. */
export interface CoverServer {
  readonly client: Client;
  readonly namespace: string;
  readonly connection: PostgresConnection;
  /** The directory of covers. */
  readonly directory: string;
  /** The directory for temporary files. */
  readonly temporary: string;
  readonly process: OpenMusicProcess;
  /** Starts another process at the same address; the last one has ended. `entry` runs in place of `src/main.ts`. */
  start(entry?: string, more?: Settings): Promise<OpenMusicProcess>;
  stop(): Promise<void>;
}

export async function startCoverServer(settings: Settings = {}, entry?: string): Promise<CoverServer> {
  const database = await createDatabase();
  const own = await mkdtemp(path.join(tmpdir(), 'openmusic-covers-'));
  const temporary = path.join(own, 'tmp');
  await mkdir(temporary);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    NAMESPACE: namespace(),
    PARTITIONS: '2',
    DATA_DIR: path.join(own, 'data'),
    TMPDIR: temporary,
    PUBLIC_URL: url,
    RATE_COVERS: 'off',
    ...settingsOf(database.connection),
    ...settings,
  };
  const launch = (file?: string, more: Settings = {}) =>
    startProcess({ env: { ...env, ...more }, port, ...(file && { entry: file }) });
  let running = await launch(entry);
  return {
    client: createClient(url),
    namespace: env.NAMESPACE,
    connection: database.connection,
    temporary,
    directory: path.join(env.DATA_DIR, 'files', env.NAMESPACE, 'covers'),
    get process() {
      return running;
    },
    start: async (file, more) => (running = await launch(file, more)),
    async stop() {
      await running.end('SIGTERM');
      await database.drop();
      await rm(own, { recursive: true });
    },
  };
}

const settingsOf = ({ host, port, user, password, database }: PostgresConnection) => ({
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
  PGDATABASE: database,
});

export async function newAlbum(client: Client): Promise<string> {
  const { body, text } = await client.post('/albums', { name: 'Viva la Vida', year: 2008 });
  if (body?.data?.albumId === undefined) throw new Error(`no album: ${text}`);
  return body.data.albumId;
}

export async function coverUrlOf(client: Client, album: string): Promise<string> {
  return (await client.get(`/albums/${album}`)).body?.data?.album?.coverUrl ?? 'none';
}

export const namesIn = (directory: string) => readdir(directory).catch((): string[] => []);

/** The file that is the current cover of the album, in the server's directory. */
export async function coverFileOf({ client, directory }: CoverServer, album: string): Promise<string> {
  return path.join(directory, path.basename(await coverUrlOf(client, album)));
}

export interface Part {
  readonly bytes: Buffer | string;
  readonly field?: string;
  /** The file name between the quotes, unescaped. Undefined for a part without a file name. */
  readonly filename?: string;
  readonly type?: string;
  /** More header lines, each with its line end. */
  readonly headers?: string;
}

export const FORM = { 'content-type': 'multipart/form-data; boundary=b0undary' };
export const FORM_END = '\r\n--b0undary--\r\n';

/** A form as bytes that no client library would send. */
export function formOf(parts: readonly Part[], end = FORM_END): Buffer<ArrayBuffer> {
  const written = parts.flatMap(({ bytes, field = 'cover', filename, type, headers = '' }, index) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const kind = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    const before = index === 0 ? '' : '\r\n';
    const head = `${before}--b0undary\r\nContent-Disposition: form-data; name="${field}"${file}\r\n${kind}${headers}\r\n`;
    return [Buffer.from(head, 'latin1'), Buffer.from(bytes as string)];
  });
  return Buffer.concat([...written, Buffer.from(end)]);
}

/** Sends one file as a browser would, with the given differences. */
export function upload(
  client: Client,
  album: string,
  bytes: Buffer | string,
  part: Partial<Part> = {},
): Promise<Answer> {
  const form = formOf([{ bytes, filename: 'cover.png', type: 'image/png', ...part }]);
  return client.send('POST', `/albums/${album}/covers`, { raw: form, headers: FORM });
}

export async function fetched(url: string, headers: Record<string, string> = {}) {
  const answer = await fetch(url, { headers });
  return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) };
}
