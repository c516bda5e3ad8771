import Fastify, { type FastifyInstance } from 'fastify';
import pg from 'pg';
import type { PostgresConnection } from '../src/postgres/connection.ts';
import { answerQuestions } from './answers.ts';

/** What a server without anything of ours offers. */
export interface BareServer {
  /** One-row selects go to the albums of this schema. */
  readonly select?: { readonly connection: PostgresConnection; readonly schema: string; readonly pool: number };
}

answerQuestions(async ({ select }: BareServer) => {
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
