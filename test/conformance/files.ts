import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { genesis } from './cases/genesis.ts';
import { headers } from './cases/headers.ts';
import { offsets } from './cases/offsets.ts';
import { placement } from './cases/placement.ts';
import { rule } from './cases/rule.ts';
import { values } from './cases/values.ts';

/** The files of the kit. */
export const kit = { genesis, headers, offsets, placement, rule, values };

export const fileOf = (name: string): string =>
  fileURLToPath(new URL(`../../schemas/conformance/${name}.json`, import.meta.url));

export async function contentOf(name: keyof typeof kit): Promise<string> {
  const options = await resolveConfig(fileOf(name));
  return format(JSON.stringify({ cases: kit[name] }), { ...options, parser: 'json' });
}
