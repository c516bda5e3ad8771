import type { Readable } from 'node:stream';
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
import type { Files, ListedFile, OpenFile } from './files.ts';
import { isName, mustBeName } from './names.ts';

export interface S3Options {
  readonly bucket: string;
  /** First part of every key. */
  readonly folder: string;
  /** Of another server than Amazon's. */
  readonly endpoint?: string;
  readonly region: string;
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

  return {
    async put(name, bytes, mediaType) {
      await client.send(new PutObjectCommand({ ...objectOf(name), Body: bytes, ContentType: mediaType }));
    },
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
const ANSWER_WITHIN_MS = 10_000;

const clientOf = ({ region, endpoint, credentials }: Omit<S3Options, 'bucket' | 'folder'>) =>
  new S3Client({
    ...{ region, endpoint, credentials, maxAttempts: 2 },
    forcePathStyle: endpoint !== undefined,
    requestHandler: {
      connectionTimeout: CONNECT_WITHIN_MS,
      requestTimeout: ANSWER_WITHIN_MS,
      throwOnRequestTimeout: true, // or it only prints a warning
      socketTimeout: ANSWER_WITHIN_MS,
    },
  });

function nothingIfMissing(error: unknown): undefined {
  if (!(error instanceof NotFound)) throw error;
}
