import path from 'node:path';
import type { Config } from '../../config.ts';
import type { Files } from './files.ts';

/**
 * One line and one file for each. What a provider needs is loaded only when it is chosen. Every namespace has a folder of
 * its own, for what one keeps another would sweep away.
 */
const PROVIDERS: Record<Config['FILES_PROVIDER'], (config: Config) => Promise<Files>> = {
  disk: async (config) => (await import('./disk.ts')).openDiskFiles(directoryOf(config)),
  s3: async (config) => (await import('./s3.ts')).openS3Files(s3Options(config)),
};

export const openFiles = (config: Config): Promise<Files> => PROVIDERS[config.FILES_PROVIDER](config);

const directoryOf = ({ DATA_DIR, NAMESPACE }: Config) => path.resolve(DATA_DIR, 'files', NAMESPACE);

function s3Options({ S3_BUCKET: bucket = '', S3_ENDPOINT: endpoint, AWS_REGION: region, ...config }: Config) {
  const { NAMESPACE: folder, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config;
  const credentials = accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined;
  return { bucket, folder, endpoint, region, credentials, answerWithinMs: config.S3_ANSWER_SECONDS * 1_000 };
}
