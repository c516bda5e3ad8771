import { once } from 'node:events';
import { Readable } from 'node:stream';

/**
 * A stream of text made piece by piece, as fast as its reader takes it. It is handed out when the first piece is there,
 * so that what fails before is an error answer and not half a success. Destroying it ends the generator.
 */
export async function startStream(pieces: AsyncGenerator<string, void>): Promise<Readable> {
  const stream = Readable.from(pieces);
  await once(stream, 'readable');
  return stream;
}

/** The text of an object that holds one long list, in pieces: `head`, the items of all chunks, `tail`. */
export async function* listInPieces(
  head: string,
  chunks: AsyncIterable<readonly object[]>,
  tail: string,
): AsyncGenerator<string, void> {
  let before = head;
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue;
    yield before + JSON.stringify(chunk).slice(1, -1);
    before = ',';
  }
  yield (before === ',' ? '' : head) + tail;
}
