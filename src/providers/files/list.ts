// Made by `npm run providers` from the files of this folder that export a `provider`.
import { provider as disk } from './disk.ts';
import { provider as s3 } from './s3.ts';

export const FILES_PROVIDERS = Object.values({
  disk,
  s3,
});

export const FILES_SETTINGS = {
  ...disk.settings,
  ...s3.settings,
};
