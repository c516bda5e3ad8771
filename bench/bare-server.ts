import { Readable } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import pg from 'pg';
import type { PostgresConnection } from '../src/postgres/connection.ts';
import { answerQuestions } from './answers.ts';

/** The routes of a bare server, which has no code of the product. */
export interface BareServer {
  /** The schema with the albums for one-row selects. */
  readonly select?: { readonly connection: PostgresConnection; readonly schema: string; readonly pool: number };
  /** The schema with the accepted catalog events for `/rows`. */
  readonly rows?: { readonly connection: PostgresConnection; readonly schema: string };
  /** JSON texts of one form, by path. `/finished` answers them as they are; `/serialised` serialises them from objects. */
  readonly bodies?: ReadonlyMap<string, string>;
}

answerQuestions(async ({ select, rows, bodies }: BareServer) => {
  const app = Fastify();
  app.post('/albums', (_request, reply) => reply.code(201).send({ status: 'success', data: { albumId: ALBUM } }));
  app.post('/playlists/:id/songs', (_request, reply) =>
    reply.code(201).send({ status: 'success', message: 'The song was added.' }),
  );
  app.get('/', () => ({
    status: 'success',
    data: { album: { id: ALBUM, version: 1, name: 'Viva la Vida', year: 2008 } },
  }));
  if (select) addSelect(app, select);
  if (rows) addRows(app, rows);
  if (bodies) addBodies(app, bodies);
  return app.listen({ host: '127.0.0.1', port: 0 });
});

const ALBUM = 'album-01a205107e7f77bba2b95a3d32e228ab';

function addSelect(app: FastifyInstance, { connection, schema, pool: max }: Required<BareServer>['select']): void {
  const pool = new pg.Pool({ ...connection, max });
  const text = `SELECT id, version, name, year FROM "${schema}".albums WHERE id = $1`;
  app.get<{ Params: { id: string } }>('/albums/:id', async ({ params }) => {
    const { rows } = await pool.query<object>({ name: 'select', text, values: [params.id] });
    return { status: 'success', data: { album: rows[0] } };
  });
}

const PAGE = 1_000;

/** Sends the rows of accepted catalog events, a page at a time, as lines of JSON. */
function addRows(app: FastifyInstance, { connection, schema }: Required<BareServer>['rows']): void {
  const pool = new pg.Pool(connection);
  const text = `SELECT stream, version, topic, partition, "offset", headers, encode(value, 'base64') AS value
    FROM "${schema}".stream_events WHERE topic = 'openmusic.catalog' AND (partition, "offset") > ($1, $2)
    ORDER BY topic, partition, "offset" LIMIT ${PAGE}`;
  async function* lines() {
    let last: { partition: number; offset: string } | undefined = { partition: -1, offset: '0' };
    while (last) {
      const values: unknown[] = [last.partition, last.offset];
      const { rows }: { rows: { partition: number; offset: string }[] } = await pool.query({
        name: 'rows',
        text,
        values,
      });
      if (rows.length > 0) yield `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`;
      last = rows.at(-1);
    }
  }
  app.get('/rows', (_request, reply) => reply.type('application/x-ndjson').send(Readable.from(lines())));
}

function addBodies(app: FastifyInstance, bodies: ReadonlyMap<string, string>): void {
  const objects = new Map(Array.from(bodies, ([path, body]) => [path, JSON.parse(body) as object]));
  const [some] = objects.values();
  const schema = { response: { 200: schemaOf(some) } };
  app.get<At>('/serialised/*', { schema }, ({ params }, reply) => reply.send(objects.get(`/${params['*']}`)));
  app.get<At>('/finished/*', ({ params }, reply) => reply.type(JSON_TYPE).send(bodies.get(`/${params['*']}`)));
}

interface At {
  Params: { '*': string };
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** The JSON schema of values like this one; for a list, of its first item. */
function schemaOf(value: unknown): object {
  if (Array.isArray(value)) return { type: 'array', items: schemaOf(value[0]) };
  if (value === null) return { type: 'null' };
  if (typeof value !== 'object') return { type: Number.isInteger(value) ? 'integer' : typeof value };
  const fields = Object.entries(value).map(([name, field]) => [name, schemaOf(field)] as const);
  return { type: 'object', properties: Object.fromEntries(fields) };
}
