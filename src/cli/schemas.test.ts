import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { releasedSchemas } from '../events/codec.ts';
import { schemasPush } from './schemas.ts';

interface Registered {
  readonly id: number;
  readonly subject: string;
  readonly version: number;
  readonly schema: string;
}

interface StandIn {
  readonly url: string;
  readonly registered: Registered[];
  /** Subjects in import mode. */
  readonly importing: Set<string>;
}

interface Behaviour {
  readonly credentials?: string;
  /** As registries without import mode: `PUT /mode` is 404. */
  readonly noImport?: boolean;
  /** Gives ids of its own even to what is imported. */
  readonly ownIds?: boolean;
  /** Fails after that many schemas. */
  readonly failAfter?: number;
}

type Reply = readonly [status: number, body: object];
const error = (error_code: number, message: string): Reply => [Math.floor(error_code / 100), { error_code, message }];

const servers: Server[] = [];
const folder = mkdtempSync(path.join(tmpdir(), 'openmusic-push-'));
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A registry that follows the documented contract of Confluent's to the letter, as far as a push uses it. */
async function startStandIn(behaviour: Behaviour = {}, registered: Registered[] = []): Promise<StandIn> {
  const importing = new Set<string>();
  const answer = (method: string, where: string, body: Partial<Registered> & { mode?: string }): Reply => {
    const [, kind = '', subject = '', version] =
      /^\/(mode|subjects|schemas)\/([^/?]+)(?:\/(?:versions\/?)?([^?]*))?/.exec(where) ?? [];
    if (kind === 'schemas')
      return found(
        registered.find(({ id }) => id === Number(version)),
        40_403,
      );
    if (kind === 'mode') return behaviour.noImport ? [404, {}] : changeMode(method, subject, where, body.mode);
    if (method === 'GET')
      return found(
        registered.find((each) => each.subject === subject && each.version === Number(version)),
        40_402,
      );
    return register(subject, body);
  };
  const found = (schema: Registered | undefined, code: number): Reply =>
    schema ? [200, schema] : error(code, 'Not found.');
  const changeMode = (method: string, subject: string, where: string, mode?: string): Reply => {
    if (method === 'DELETE') importing.delete(subject);
    else if (mode !== 'IMPORT') return error(42_204, 'Invalid mode.');
    else if (registered.some((each) => each.subject === subject) && !where.endsWith('?force=true'))
      return error(42_205, 'Cannot import since found existing subjects');
    else importing.add(subject);
    return [200, { mode }];
  };
  const register = (subject: string, { id, version, schema = '' }: Partial<Registered>): Reply => {
    if (!importing.has(subject) || id === undefined || version === undefined)
      return error(42_205, `Subject ${subject} is not in import mode`);
    if (registered.some((each) => each.id === id && each.schema !== schema))
      return error(42_207, `Overwrite new schema with id ${id} is not permitted.`);
    if (registered.length === behaviour.failAfter) return error(50_001, 'Error in the backend data store.');
    const made = { id: behaviour.ownIds ? id + 1_000 : id, subject, version, schema };
    registered.push(made);
    return [200, { id: made.id }];
  };
  const expected = behaviour.credentials && `Basic ${Buffer.from(behaviour.credentials).toString('base64')}`;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (data: Buffer) => (text += data.toString()));
    request.on('end', () => {
      const isKnown = expected === undefined || request.headers.authorization === expected;
      const body = (text === '' ? {} : JSON.parse(text)) as Partial<Registered>;
      const [status, content] = isKnown
        ? answer(request.method ?? '', request.url ?? '', body)
        : error(40_101, 'Unauthorized');
      response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' });
      response.end(JSON.stringify(content));
    });
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, registered, importing };
}

async function push(url: string, options: Parameters<typeof schemasPush>[1] = {}) {
  const lines: string[] = [];
  const code = await schemasPush(url, options, (line) => lines.push(line));
  return { code, output: lines.join('\n') };
}

const ours = releasedSchemas.map(({ id, subject, version, definition }) => ({
  id,
  subject,
  version,
  schema: JSON.stringify(definition),
}));
const count = ours.length;

describe('openmusic schemas push', () => {
  it('registers every schema under its id, and changes nothing the second time', async () => {
    const registry = await startStandIn();
    expect(await push(`${registry.url}/`)).toEqual({
      code: 0,
      output: expect.stringContaining(`all ${count} schemas`),
    });
    expect(registry.registered).toEqual(expect.arrayContaining(ours));
    expect(registry.registered).toHaveLength(count);
    expect(registry.importing.size).toBe(0);
    expect((await push(registry.url)).output).toContain('; 0 of them are new');
    expect(registry.registered).toHaveLength(count);
  });

  it('continues after an interruption', async () => {
    const broken = await startStandIn({ failAfter: 9 });
    await expect(push(broken.url)).rejects.toThrow(/answered 500 to openmusic\.\w+ version 1: Error in the backend/);
    expect([broken.registered.length, broken.importing.size]).toEqual([9, 0]);
    const mended = await startStandIn({}, broken.registered);
    expect((await push(mended.url)).output).toContain(`; ${count - 9} of them are new`);
    expect(mended.registered).toHaveLength(count);
  });

  it('refuses a registry without import mode, and registers nothing', async () => {
    const registry = await startStandIn({ noImport: true });
    await expect(push(registry.url)).rejects.toThrow(
      /would give the schema an id of its own.*answered 404 to PUT \/mode/,
    );
    expect(registry.registered).toEqual([]);
  });

  it('refuses a registry in which an id belongs to another schema, and registers nothing', async () => {
    const registry = await startStandIn({}, [{ id: 7, subject: 'shop.Order', version: 1, schema: '"string"' }]);
    await expect(push(registry.url)).rejects.toThrow(/^Id 7 belongs to another schema.*Nothing was registered/);
    expect(registry.registered).toHaveLength(1);
  });

  it('refuses a registry that gives other ids in import mode too', async () => {
    const registry = await startStandIn({ ownIds: true });
    await expect(push(registry.url)).rejects.toThrow(/the id 1001, and records carry 1: it does not import/);
  });

  it('sends the user of the option, of a file or of the address, and never shows the password', async () => {
    const { url } = await startStandIn({ credentials: 'ada:se:cret' }, ours);
    const file = path.join(folder, 'user');
    writeFileSync(file, 'ada:se:cret\n');
    expect((await push(url, { user: 'ada:se:cret' })).code).toBe(0);
    expect((await push(url, { userFile: file })).code).toBe(0);
    expect((await push(url.replace('//', '//ada:se%3Acret@'))).code).toBe(0);
    const failed = push(url.replace('//', '//ada:wrong@'));
    await expect(failed).rejects.toThrow(/refused access \(401\)/);
    await expect(failed).rejects.not.toThrow('wrong');
  });

  it('says that a registry cannot be reached', async () => {
    await expect(push('http://127.0.0.1:1')).rejects.toThrow('http://127.0.0.1:1 cannot be reached');
  });
});
