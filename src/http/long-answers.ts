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
    /** Sends JSON that may be long: a short answer as a whole, a long one piece by piece as the client reads it. */
    sendInPieces(pieces: Pieces): Promise<void>;
  }
}

type Pieces = AsyncGenerator<string, void>;

/** For the API documentation. */
export const LONG_ETAG =
  'With more than 1,000 songs, or above 256 kB, the answer is streamed. Its ETag then works in `If-Match` only.';

/** Bytes of an answer that are held in memory before its status is sent. A longer answer is streamed. */
const WHOLE_BYTES = 256_000;

/** Concurrent long answers, to one address and in all. A waiting one holds its beginning in memory. */
const LONG_ANSWERS = {
  each: 8,
  all: 256,
  waiting: 64,
  waitMs: 10_000,
  refusal: tooManyAtOnce('Too many long answers are being sent to this address.'),
};

/** Gives the list reader for the client that waits for this answer. */
export type ListsOf = (reply: FastifyReply) => ListReader;

export function createListsOf(database: Pick<Database, 'query'>): ListsOf {
  const readerFor = createListReaders(database);
  return (reply) => readerFor(claimOf(reply));
}

/** Adds `sendInPieces`. Each long answer takes a place of its client's address until the client has read it. */
export function sendLongAnswers(app: FastifyInstance): void {
  const places = createPlaces(LONG_ANSWERS);
  app.decorateReply('sendInPieces', async function (this: FastifyReply, pieces: Pieces): Promise<void> {
    const body = await bodyOf(pieces, this, places).catch((error: unknown) => {
      this.removeHeader('etag'); // it belongs to the answer that is not sent
      throw error;
    });
    await this.header('content-type', JSON_TYPE).send(body);
  });
}

/** The whole text of a short answer; a stream, which holds a place, for a long one. */
async function bodyOf(pieces: Pieces, reply: FastifyReply, places: Places): Promise<string | Readable> {
  const { text, isWhole } = await beginningOf(pieces, reply);
  if (isWhole) return text;
  if (reply.request.method === 'HEAD') return Readable.from([]);
  await placeFor(places, claimOf(reply));
  return Readable.from(startingWith(text, pieces), { highWaterMark: 1 });
}

async function* startingWith(beginning: string, pieces: Pieces): Pieces {
  yield beginning;
  yield* pieces;
}

/** The text of all pieces of a short answer, or of the first pieces of a long one. The generator continues with the next piece. */
async function beginningOf(pieces: Pieces, { raw }: FastifyReply): Promise<{ text: string; isWhole: boolean }> {
  let [text, bytes] = ['', 0];
  // Stops when the client has disconnected.
  while (bytes <= WHOLE_BYTES && !raw.destroyed) {
    const { value, done } = await pieces.next();
    if (done) return { text, isWhole: true };
    text += value;
    bytes += Buffer.byteLength(value);
  }
  return { text, isWhole: false };
}

interface Listing<Row> {
  /** An object that ends with an empty list, which the rows fill; or its JSON. */
  readonly content: object | string;
  readonly list: List<Row>;
  /** Size of the first read; smaller for lists whose rows can be long. */
  readonly first?: number;
  /** One page of the list. */
  readonly page?: { readonly size: number; cursorOf(last: Row): string };
}

/** Rows of the first read. The size of later ones is chosen so that a piece has about PIECE_LENGTH characters. */
const FIRST_ROWS = 250;
const PIECE_LENGTH = 65_536;
const MAX_ROWS = 2_000;

/** Yields the JSON of an object with the rows of its list. After the rows of a page comes its `nextCursor`. */
export async function* inPieces<Row>({ content, list, first = FIRST_ROWS, page }: Listing<Row>): Pieces {
  const [head, tail] = splitAtList(content);
  let [size, left, before] = [first, page?.size ?? Infinity, head];
  let [last, isMore] = [undefined as Row | undefined, false];
  while (!isMore) {
    // One row more than is sent shows whether there is another page.
    const rows = await list.next(Math.min(size, left + 1));
    if (!rows) break;
    isMore = rows.length > left;
    const sent = isMore ? rows.slice(0, left) : rows;
    const text = JSON.stringify(sent).slice(1, -1);
    if (text !== '') {
      yield before + text;
      before = ',';
    } else yield ''; // between two reads the caller checks whether the client has disconnected
    last = sent.at(-1) ?? last;
    left -= sent.length;
    if (rows.length === size) size = rowsFor(size, text.length);
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

/** The answer for an object that ends with a list. It is only the beginning when there are too many rows (`undefined`) or they are too long. */
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

/** Sends such an answer. `list` yields all its rows. A streamed answer is never compared with an earlier one, so it gets a new ETag. */
export function sendListed<Row>(request: FastifyRequest, reply: FastifyReply, answer: CachedResponse, list: List<Row>) {
  const { body, beginning } = answer;
  if (!beginning) return sendAnswer(request, reply, answer);
  if (beginning.version !== undefined) reply.header('etag', uniqueEtag(beginning.version));
  return reply.sendInPieces(inPieces({ content: body, list }));
}
