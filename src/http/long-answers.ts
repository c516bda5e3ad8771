import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { CachedResponse } from '../cache/cache.ts';
import { createPlaces, type Places } from '../concurrency/places.ts';
import { createListReaders, type ListReader } from '../postgres/list-reader.ts';
import type { Database } from '../postgres/pool.ts';
import type { List } from '../projections/engine/lists.ts';
import { JSON_TYPE } from './errors.ts';
import { etagOf, sendAnswer, uniqueEtag } from './etag.ts';
import { claimOf, placeFor, tooManyAtOnce } from './places.ts';

declare module 'fastify' {
  interface FastifyReply {
    /** Sends JSON that may be long: what is short as a whole, the rest piece by piece as the client takes it. */
    sendInPieces(pieces: Pieces): Promise<void>;
  }
}

type Pieces = AsyncGenerator<string, void>;

/** For the documentation. */
export const LONG_ETAG =
  'With more than 1,000 songs, or above 256 kB, the answer is sent as it is read. Its ETag is then good for `If-Match` only.';

/** What an answer holds in memory before its status is sent. Longer ones go on piece by piece. */
const WHOLE_BYTES = 256_000;

/** Long answers at once: to one address, and in all. What waits holds its beginning. */
const LONG_ANSWERS = {
  each: 8,
  all: 256,
  waiting: 64,
  waitMs: 10_000,
  refusal: tooManyAtOnce('Too many long answers are being sent to this address.'),
};

/** Reads lists for the client that waits for an answer. */
export type ListsOf = (reply: FastifyReply) => ListReader;

export function createListsOf(database: Pick<Database, 'query'>): ListsOf {
  const readerFor = createListReaders(database);
  return (reply) => readerFor(claimOf(reply));
}

/** Lets handlers send long answers. Each takes a place of its client's address for as long as that reads it. */
export function sendLongAnswers(app: FastifyInstance): void {
  const places = createPlaces(LONG_ANSWERS);
  app.decorateReply('sendInPieces', async function (this: FastifyReply, pieces: Pieces): Promise<void> {
    const body = await bodyOf(pieces, this, places).catch((error: unknown) => {
      this.removeHeader('etag'); // of the answer that is not sent
      throw error;
    });
    await this.header('content-type', JSON_TYPE).send(body);
  });
}

/** The whole text of what is short; of what is long a stream, which has a place. */
async function bodyOf(pieces: Pieces, reply: FastifyReply, places: Places): Promise<string | Readable> {
  const { text, isWhole } = await beginningOf(pieces, reply);
  if (isWhole) return text;
  if (reply.request.method === 'HEAD') return Readable.from([]);
  await placeFor(places, claimOf(reply));
  return Readable.from(from(text, pieces), { highWaterMark: 1 });
}

async function* from(beginning: string, pieces: Pieces): Pieces {
  yield beginning;
  yield* pieces;
}

/** The text of all pieces, or of so many that an answer is long. What was begun goes on with the next piece. */
async function beginningOf(pieces: Pieces, { raw }: FastifyReply): Promise<{ text: string; isWhole: boolean }> {
  let [text, bytes] = ['', 0];
  // A client that is gone by now needs no more.
  while (bytes <= WHOLE_BYTES && !raw.destroyed) {
    const { value, done } = await pieces.next();
    if (done) return { text, isWhole: true };
    text += value;
    bytes += Buffer.byteLength(value);
  }
  return { text, isWhole: false };
}

interface Listing<Row> {
  /** An object that ends with an empty list, to which the rows belong; or its JSON. */
  readonly content: object | string;
  readonly list: List<Row>;
  /** Rows of the first read, where they can be long. */
  readonly first?: number;
  /** One page of the list. */
  readonly page?: { readonly size: number; cursorOf(last: Row): string };
}

/** Rows of the first read; later ones are as many as give a piece of about that length. */
const FIRST_ROWS = 250;
const PIECE_LENGTH = 65_536;
const MAX_ROWS = 2_000;

/** The JSON of an object with the rows of its list; behind those of a page there is its `nextCursor`. */
export async function* inPieces<Row>({ content, list, first = FIRST_ROWS, page }: Listing<Row>): Pieces {
  const [head, tail] = splitAtList(content);
  let [most, left, before] = [first, page?.size ?? Infinity, head];
  let [last, isMore] = [undefined as Row | undefined, false];
  while (!isMore) {
    // One more than is sent tells whether there is another page.
    const rows = await list.next(Math.min(most, left + 1));
    if (!rows) break;
    isMore = rows.length > left;
    const sent = isMore ? rows.slice(0, left) : rows;
    const text = JSON.stringify(sent).slice(1, -1);
    if (text !== '') {
      yield before + text;
      before = ',';
    } else yield ''; // between any two reads the client may turn out to be gone
    last = sent.at(-1) ?? last;
    left -= sent.length;
    if (rows.length === most) most = rowsFor(most, text.length);
  }
  const cursor = isMore && last !== undefined ? page?.cursorOf(last) : null;
  yield (before === ',' ? '' : head) + (page ? `],"nextCursor":${JSON.stringify(cursor)}${tail.slice(1)}` : tail);
}

const rowsFor = (rows: number, length: number): number =>
  Math.min(MAX_ROWS, Math.max(1, Math.round((rows * PIECE_LENGTH) / Math.max(1, length))));

function splitAtList(content: object | string): readonly [head: string, tail: string] {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  const at = text.lastIndexOf('[]') + 1;
  return [text.slice(0, at), text.slice(at)];
}

/** The answer of an object that ends with a list; only its beginning where there are too many rows, or they are too long. */
export function listAnswer(content: object, rows: readonly object[] | undefined, version?: number): CachedResponse {
  const text = JSON.stringify(content);
  if (rows) {
    const [head, tail] = splitAtList(text);
    const body = head + JSON.stringify(rows).slice(1, -1) + tail;
    if (Buffer.byteLength(body) <= WHOLE_BYTES)
      return version === undefined ? { body } : { body, etag: etagOf(version, body) };
  }
  return { body: text, beginning: { version }, ...(version !== undefined && { etag: uniqueEtag(version) }) };
}

/** Sends such an answer. `list` has all its rows. A long one is like no other that was ever sent, so its ETag is new. */
export function sendListed<Row>(request: FastifyRequest, reply: FastifyReply, answer: CachedResponse, list: List<Row>) {
  const { body, beginning } = answer;
  if (!beginning) return sendAnswer(request, reply, answer);
  if (beginning.version !== undefined) reply.header('etag', uniqueEtag(beginning.version));
  return reply.sendInPieces(inPieces({ content: body, list }));
}
