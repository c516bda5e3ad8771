import { z } from 'zod';
import { duration, secret } from '../../settings.ts';
import { defineFilesProvider } from './files.ts';

export const provider = defineFilesProvider({
  name: 's3',
  about: 'in the bucket S3_BUCKET',
  settings: {
    S3_ENDPOINT: z.url().optional().describe('URL of an S3 that is not Amazon’s'),
    S3_BUCKET: z.string().optional().describe('bucket of FILES_PROVIDER=s3; it must exist'),
    S3_ANSWER_SECONDS: duration.default(10).describe('how long an answer of S3 may take'),
    AWS_REGION: z.string().default('us-east-1').describe('region of the bucket'),
    AWS_ACCESS_KEY_ID: z
      .string()
      .optional()
      .describe('without it the AWS SDK uses its own sources: files, and the role of the machine'),
    AWS_SECRET_ACCESS_KEY: secret(z.string().optional().describe('belongs to AWS_ACCESS_KEY_ID')),
  },
  problem({ S3_BUCKET, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }, isEnabled) {
    if (isEnabled && !S3_BUCKET) return 'S3_BUCKET: must be set when FILES_PROVIDER is s3';
    if (!AWS_ACCESS_KEY_ID === !AWS_SECRET_ACCESS_KEY) return undefined;
    return 'AWS_SECRET_ACCESS_KEY: must be set together with AWS_ACCESS_KEY_ID';
  },
  async open({ S3_BUCKET: bucket = '', S3_ENDPOINT: endpoint, AWS_REGION: region, NAMESPACE: folder, ...config }) {
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config;
    const credentials = accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined;
    const { openS3Files } = await import('./s3-files.ts');
    return openS3Files({
      bucket,
      folder,
      endpoint,
      region,
      credentials,
      answerWithinMs: config.S3_ANSWER_SECONDS * 1_000,
    });
  },
});
