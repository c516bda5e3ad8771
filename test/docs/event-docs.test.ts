import { Parser } from '@asyncapi/parser';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeEvent, releasedSchemas, typeOf } from '../../src/events/codec.ts';
import { voidsTopicOf } from '../../src/log/topics.ts';
import { eventCatalog } from '../../src/http/routes/event-docs/event-catalog.ts';
import { projections } from '../../src/projections/projections.ts';
import { golden } from '../support/golden.ts';
import { httpApp } from '../support/http-app.ts';

const { app } = httpApp({ namespace: 'music' });
const types = [...new Set(releasedSchemas.map(({ subject }) => typeOf(subject)))].sort();
afterAll(() => app.close());

describe('/asyncapi.json', () => {
  interface Channel {
    readonly address: string;
    readonly messages: Readonly<Record<string, unknown>>;
  }
  let text = '';
  let channels: Readonly<Record<string, Channel>> = {};
  beforeAll(async () => {
    const answer = await app.inject('/asyncapi.json');
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
    text = answer.body;
    ({ channels } = JSON.parse(text) as { channels: Record<string, Channel> });
  });

  it('is AsyncAPI 3 without a fault, and its examples have the form of their messages', async () => {
    const { document, diagnostics } = await new Parser().parse(text);
    // 'information': a newer version of AsyncAPI may exist, and servers need no security.
    expect(
      diagnostics.filter(({ severity }) => [0, 1].includes(severity)).map(({ message, path }) => [message, path]),
    ).toEqual([]);
    expect(document?.version()).toBe('3.0.0');
  });

  it('has every event in the channel of its topic, and the published topics and the feed', () => {
    const addresses = Object.values(channels).map(({ address }) => address);
    const topics = ['catalog', 'playlists', 'likes', 'jobs'];
    expect(addresses.toSorted()).toEqual(
      [
        ...topics.flatMap((topic) => [`music.${topic}`, `music.published.${topic}`]),
        voidsTopicOf('music'),
        '/events',
      ].sort(),
    );
    const named = new Set(Object.values(channels).flatMap(({ messages }) => Object.keys(messages)));
    expect(types.filter((type) => !named.has(type))).toEqual([]);
    expect(Object.keys(channels.likes?.messages ?? {})).toEqual([
      ...['AlbumLiked', 'AlbumUnliked', 'SongLiked', 'SongUnliked', 'PartitionOpened', 'OwnerChanged'],
    ]);
  });
});

describe('/docs/events', () => {
  it('shows every event with its fields, units, readers and an example', async () => {
    const { body, headers } = await app.inject('/docs/events');
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    for (const type of types) expect(body).toContain(`<details id="${type}">`);
    expect(body.match(/<pre>/g)).toHaveLength(types.length);
    expect(body).toContain('<code>duration</code></td><td>int or null</td><td>seconds</td>');
    expect(body).toContain('<code>entries[].<wbr>songId</code>');
    expect(body).toContain('<span class="reader">playlist_activities</span>');
    expect(body).toContain('like-&lt;album&gt;-&lt;account&gt;');
    expect(body).toContain('&quot;Life in Technicolor&quot;');
    expect(body).toContain('topic <code>music.jobs</code>');
  });

  it('has no script and no style of its own, and may load nothing but its style sheet', async () => {
    const { body, headers } = await app.inject('/docs/events');
    expect(body).not.toMatch(/<script|<style|\sstyle=|\son\w+=/);
    expect(headers['content-security-policy']).toMatch(/^default-src 'none';style-src 'self';/);
    const styles = await app.inject('/docs/events.css');
    expect([styles.statusCode, styles.headers['content-type']]).toEqual([200, 'text/css; charset=utf-8']);
    expect(styles.body).toContain('prefers-color-scheme: dark');
  });

  it('links only to addresses that exist', async () => {
    const { body } = await app.inject('/docs/events');
    const links = new Set([...body.matchAll(/href="([^#"][^"]*)"/g)].map(([, href = '']) => new URL(href, 'http://x/docs/events').pathname)); // prettier-ignore
    expect(links.size).toBeGreaterThan(types.length);
    for (const url of links) expect([url, (await app.inject(url)).statusCode]).toEqual([url, 200]);
  });
});

describe('the catalogue of events', () => {
  const catalog = eventCatalog();

  it('has every event once', () => {
    expect(catalog.map(({ type }) => type).toSorted()).toEqual(types);
  });

  it('names the tables that an event changes, and no others', () => {
    const tables = projections.map(({ table }) => table.name);
    const found = catalog.map(({ type, readers }) => [
      type,
      readers.filter((reader) => tables.includes(reader)).toSorted(),
    ]);
    expect(found).toEqual(catalog.map(({ type }) => [type, tablesChangedBy(type)]));
  });
});

/** The tables whose projection changes something when it is given the golden event. */
function tablesChangedBy(type: string): string[] {
  const line = golden.schemas.find(({ subject }) => typeOf(subject) === type);
  const value = Buffer.from(line?.value ?? '', 'hex');
  // A job that is cancelled before its first attempt has none that ends.
  const event = Object.assign(decodeEvent(line?.subject ?? '', value), type === 'JobCancelled' && { attempt: 1 });
  const changed = projections.filter((projection) => {
    let changes = 0;
    const count = () => {
      changes++;
    };
    const record = { stream: `album-1-user-1`, version: 1, time: '2026-01-01T00:00:00.000Z', actor: 'user-1' };
    projection.apply({ ...record, event }, { put: count, patch: count, remove: count, add: count });
    return changes > 0;
  });
  return changed.map(({ table }) => table.name).sort();
}
