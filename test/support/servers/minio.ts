import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { describe } from '@jest/globals';
import { startChild } from '../../../stack/child.ts';
import { freePort } from '../ports.ts';
import { nativeServer } from './native-process.ts';
import type { NativeServer } from './types.ts';

/** A bucket, in the settings of OpenMusic. */
export interface S3Address {
  readonly settings: Readonly<Record<'S3_ENDPOINT' | 'S3_BUCKET' | 'AWS_REGION', string>> &
    Readonly<Record<'AWS_ACCESS_KEY_ID' | 'AWS_SECRET_ACCESS_KEY', string>>;
}

export type S3Server = S3Address & Pick<NativeServer, 'stop'>;
export type Minio = S3Address & NativeServer;

/** Where `.ci/run` installs it. */
const MINIO = fileURLToPath(new URL('../../../.cache/minio/minio', import.meta.url));
const LOGIN = { AWS_ACCESS_KEY_ID: 'openmusic', AWS_SECRET_ACCESS_KEY: 'only-for-tests' };
const S3_BUCKET = 'covers';

/**
 * For tests that call `start`. Skipped, with the reason in its name, where S3_ENDPOINT names no server and there is no
 * MinIO.
 */
export function describeWithS3(name: string, suite: (start: () => Promise<S3Server>) => void): void {
  const named = ofEnvironment();
  if (named) describe(name, () => suite(() => Promise.resolve({ ...named, stop: () => Promise.resolve() })));
  else describeWithMinio(name, suite);
}

/** For tests that break the server. */
export function describeWithMinio(name: string, suite: (start: () => Promise<Minio>) => void): void {
  if (existsSync(MINIO)) describe(name, () => suite(startMinio));
  else describe.skip(`${name} [skipped: no MinIO in .cache/minio, where .ci/run installs it]`, () => suite(startMinio));
}

function ofEnvironment(): S3Address | undefined {
  const { S3_ENDPOINT, S3_BUCKET: bucket, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
  if (!S3_ENDPOINT) return undefined;
  if (!bucket || !AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) {
    throw new Error('S3_ENDPOINT needs S3_BUCKET, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY beside it');
  }
  const region = AWS_REGION ?? 'us-east-1';
  return { settings: { S3_ENDPOINT, S3_BUCKET: bucket, AWS_REGION: region, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } };
}

async function startMinio(): Promise<Minio> {
  const directory = await mkdtemp(join(tmpdir(), 'openmusic-minio-'));
  const port = await freePort();
  const settings = { S3_ENDPOINT: `http://127.0.0.1:${port}`, S3_BUCKET, AWS_REGION: 'us-east-1', ...LOGIN };
  const server = await nativeServer(() => launch(directory, port), directory);
  await createBucket(settings).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return Object.assign(server, { settings });
}

function launch(directory: string, port: number) {
  const args = ['server', join(directory, 'data'), '--address', `127.0.0.1:${port}`];
  const { AWS_ACCESS_KEY_ID: MINIO_ROOT_USER, AWS_SECRET_ACCESS_KEY: MINIO_ROOT_PASSWORD } = LOGIN;
  const environment = {
    PATH: process.env.PATH,
    HOME: directory,
    MINIO_BROWSER: 'off',
    MINIO_UPDATE: 'off',
    MINIO_ROOT_USER,
    MINIO_ROOT_PASSWORD,
  };
  const log = join(directory, 'output.log');
  const answers = () => fetch(`http://127.0.0.1:${port}/minio/health/ready`).then(({ ok }) => ok, () => false); // prettier-ignore
  return startChild(
    { name: 'minio', command: MINIO, args, cwd: directory, environment, log },
    { answers, withinMs: 60_000 },
  );
}

async function createBucket({ S3_ENDPOINT, AWS_REGION, ...login }: S3Address['settings']): Promise<void> {
  const client = new S3Client({
    endpoint: S3_ENDPOINT,
    region: AWS_REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: login.AWS_ACCESS_KEY_ID, secretAccessKey: login.AWS_SECRET_ACCESS_KEY },
  });
  await client.send(new CreateBucketCommand({ Bucket: login.S3_BUCKET })).finally(() => client.destroy());
}
