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

interface S3Options {
  readonly bucket: string;
  /** The first part of every key. */
  readonly folder: string;
  /** URL of a server that is not Amazon's. */
  readonly endpoint?: string;
  readonly region: string;
  readonly answerWithinMs: number;
  /** Without them the SDK uses its own sources: files, and the role of the machine. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Keeps files as objects of a bucket, which must exist. S3 stores an object wholly or not at all. */
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

  async function putFile(name: string, from: string, mediaType: string): Promise<void> {
    const [{ size: ContentLength }, ChecksumCRC32] = await Promise.all([stat(from), crc32Of(from)]);
    const about = { ...objectOf(name), ContentType: mediaType, ContentLength, ChecksumCRC32 };
    await sendFile(from, async (Body, abortSignal) => {
      // There is no deadline for the request, only for a socket without traffic. The SDK sends a stream once.
      await client.send(new PutObjectCommand({ ...about, Body }), { abortSignal, requestTimeout: 0 });
    });
    await rm(from, { force: true });
  }

  async function link(name: string, { name: filename, mediaType, expires }: FileLink): Promise<string> {
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner'); // few processes make links
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
    async open(name) {
      return openObject(client, objectOf(name));
    },
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

async function openObject(client: S3Client, object: { Bucket: string; Key: string }): Promise<OpenFile | undefined> {
  const head = await client.send(new HeadObjectCommand(object)).catch(nothingIfMissing);
  if (!head) return undefined;
  return {
    size: head.ContentLength ?? 0,
    async read(range) {
      const Range = range && `bytes=${range.start}-${range.end}`;
      const { Body } = await client.send(new GetObjectCommand({ ...object, Range }));
      return Body as Readable; // the SDK gives a Readable in Node
    },
    close: () => Promise.resolve(),
  };
}

const CONNECT_WITHIN_MS = 3_000;
/** A request that gets no free connection fails as if there were no server, and a slow reader holds its connection. */
const CONNECTIONS = 1_000;

const clientOf = ({ region, endpoint, credentials, answerWithinMs }: Omit<S3Options, 'bucket' | 'folder'>) =>
  new S3Client({
    region,
    endpoint,
    credentials,
    maxAttempts: 2,
    forcePathStyle: endpoint !== undefined,
    logger: { debug: silent, info: silent, warn: silent, error: silent }, // the default logger prints some of the errors that it throws
    requestHandler: {
      httpAgent: { maxSockets: CONNECTIONS },
      httpsAgent: { maxSockets: CONNECTIONS },
      connectionTimeout: CONNECT_WITHIN_MS,
      requestTimeout: answerWithinMs,
      throwOnRequestTimeout: true, // without it the SDK only prints a warning
      socketTimeout: answerWithinMs,
    },
  });

const secondsOf = (time: Date) => Math.floor(time.getTime() / 1_000);

/**
 * Gives the checksum in base64, as S3 wants it. The SDK would compute it in a stream of its own, which throws an error that cannot
 * be caught when the file cannot be read.
 */
async function crc32Of(file: string): Promise<string> {
  let crc = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) crc = crc32(chunk, crc);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

/** Aborts the request when the file cannot be read. The SDK ignores errors of the body and would wait for the rest of it. */
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
