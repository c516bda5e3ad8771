// Made by `npm run providers` from the files of this folder that export a `provider`.
import { provider as file } from './file.ts';
import { provider as smtp } from './smtp.ts';
import { provider as webhook } from './webhook.ts';

export const MAIL_PROVIDERS = Object.values({
  file,
  smtp,
  webhook,
});

export const MAIL_SETTINGS = {
  ...file.settings,
  ...smtp.settings,
  ...webhook.settings,
};
