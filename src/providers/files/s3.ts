import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  NotFound,
  paginateListObjectsV2,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { attachmentOf } from './disposition.ts';
import type { FileLink, Files, ListedFile, OpenFile } from './files.ts';
import { isName, mustBeName } from './names.ts';

export interface S3Options {
  readonly bucket: string;
  /** First part of every key. */
  readonly folder: string;
  /** Of another server than Amazon's. */
  readonly endpoint?: string;
  readonly region: string;
  readonly answerWithinMs: number;
  /** Without them the SDK looks where it always does: files, and the machine's own role. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Files as objects of a bucket, which must be there. S3 keeps an object wholly or not at all. */
export function openS3Files({ bucket, folder, ...access }: S3Options): Files {
  const client = clientOf(access);
  const objectOf = (name: string) => ({ Bucket: bucket, Key: `${folder}/${mustBeName(name)}` });

  async function* list(prefix: string): AsyncGenerator<ListedFile> {
    const objects = { Bucket: bucket, Prefix: `${folder}/${prefix}` };
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, objects)) {
      for (const { Key = '', LastModified } of Contents) {
        const name = Key.slice(folder.length + 1);
        if (LastModified && isName(name)) yield { name, modifiedAt: LastModified.getTime() };
      }
    }
  }

  async function open(name: string): Promise<OpenFile | undefined> {
    const object = objectOf(name);
    const head = await client.send(new HeadObjectCommand(object)).catch(nothingIfMissing);
    if (!head) return undefined;
    return {
      size: head.ContentLength ?? 0,
      async read(range) {
        const Range = range && `bytes=${range.start}-${range.end}`;
        const { Body } = await client.send(new GetObjectCommand({ ...object, Range }));
        return Body as Readable; // in Node it is always one
      },
      close: () => Promise.resolve(),
    };
  }

  async function putFile(name: string, from: string, mediaType: string): Promise<void> {
    const [{ size: ContentLength }, ChecksumCRC32] = await Promise.all([stat(from), crc32Of(from)]);
    const about = { ...objectOf(name), ContentType: mediaType, ContentLength, ChecksumCRC32 };
    await sendFile(from, async (Body, abortSignal) => {
      // As long as it takes, unless the socket stands still. The SDK sends a stream once.
      await client.send(new PutObjectCommand({ ...about, Body }), { abortSignal, requestTimeout: 0 });
    });
    await rm(from, { force: true });
  }

  async function link(name: string, { name: filename, mediaType, expires }: FileLink): Promise<string> {
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner'); // most processes never make a link
    const said = { ResponseContentDisposition: attachmentOf(filename), ResponseContentType: mediaType };
    const signingDate = new Date();
    const expiresIn = secondsOf(expires) - secondsOf(signingDate);
    return getSignedUrl(client, new GetObjectCommand({ ...objectOf(name), ...said }), { signingDate, expiresIn });
  }

  return {
    async put(name, bytes, mediaType) {
      await client.send(new PutObjectCommand({ ...objectOf(name), Body: bytes, ContentType: mediaType }));
    },
    putFile,
    link,
    open,
    list,
    async remove(name) {
      await client.send(new DeleteObjectCommand(objectOf(name)));
    },
    async check() {
      await client.send(new HeadBucketCommand({ Bucket: bucket }));
    },
    stop() {
      client.destroy();
      return Promise.resolve();
    },
  };
}

const CONNECT_WITHIN_MS = 3_000;
/** Whoever finds none free for so long fails as if there were no server, and a slow reader keeps one. */
const CONNECTIONS = 1_000;

const clientOf = ({ region, endpoint, credentials, answerWithinMs }: Omit<S3Options, 'bucket' | 'folder'>) =>
  new S3Client({
    region,
    endpoint,
    credentials,
    maxAttempts: 2,
    forcePathStyle: endpoint !== undefined,
    logger: { debug: silent, info: silent, warn: silent, error: silent }, // or it prints some of what it throws as well
    requestHandler: {
      httpAgent: { maxSockets: CONNECTIONS },
      httpsAgent: { maxSockets: CONNECTIONS },
      connectionTimeout: CONNECT_WITHIN_MS,
      requestTimeout: answerWithinMs,
      throwOnRequestTimeout: true, // or it only prints a warning
      socketTimeout: answerWithinMs,
    },
  });

const secondsOf = (time: Date) => Math.floor(time.getTime() / 1_000);

/**
 * As S3 writes it. Left to itself the SDK computes it on the way, by a stream of its own: when the file cannot be read that
 * throws where nobody can catch it.
 */
async function crc32Of(file: string): Promise<string> {
  let crc = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) crc = crc32(chunk, crc);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

/** The SDK does not watch where a body comes from: when that fails it would wait for the rest. */
async function sendFile(from: string, send: (body: Readable, signal: AbortSignal) => Promise<void>): Promise<void> {
  const body = createReadStream(from);
  const failed = new AbortController();
  body.once('error', () => failed.abort());
  try {
    await send(body, failed.signal);
  } catch (error) {
    throw body.errored ?? error;
  } finally {
    body.destroy();
  }
}

const silent = () => undefined;

function nothingIfMissing(error: unknown): undefined {
  if (!(error instanceof NotFound)) throw error;
}
