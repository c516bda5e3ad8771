import type { Config } from '../../config.ts';
import type { Files } from './files.ts';
import { FILES_PROVIDERS } from './list.ts';

/** Opens the provider that FILES_PROVIDER names. */
export function openFiles(config: Config): Promise<Files> {
  const provider = FILES_PROVIDERS.find(({ name }) => name === config.FILES_PROVIDER);
  if (!provider) throw new Error(`FILES_PROVIDER: no provider of files is called ${config.FILES_PROVIDER}`);
  return provider.open(config);
}
