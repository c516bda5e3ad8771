import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** The folders of src/providers that have a list. */
export const PROVIDER_KINDS = ['files', 'mail'] as const;

const PROVIDERS = new URL('../providers/', import.meta.url);

/** The text of `src/providers/<kind>/list.ts`: it imports each file of the folder that exports a `provider`. */
export function providerList(kind: string): string {
  const folder = new URL(`${kind}/`, PROVIDERS);
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  const found = files.filter((file) => /^export const provider\b/m.test(readFileSync(new URL(file, folder), 'utf8')));
  const providers = found.sort().map((file) => ({ file, name: nameIn(file) }));
  return [
    '// Made by `npm run providers` from the files of this folder that export a `provider`.',
    ...providers.map(({ file, name }) => `import { provider as ${name} } from './${file}';`),
    '',
    `export const ${kind.toUpperCase()}_PROVIDERS = Object.values({`,
    ...providers.map(({ name }) => `  ${name},`),
    '});',
    '',
    `export const ${kind.toUpperCase()}_SETTINGS = {`,
    ...providers.map(({ name }) => `  ...${name}.settings,`),
    '};',
    '',
  ].join('\n');
}

/** `send-grid.ts` is imported as `sendGrid`. */
const nameIn = (file: string): string =>
  file.replace(/\.ts$/, '').replace(/[^a-z0-9]+(.)/gi, (_, letter: string) => letter.toUpperCase());

if (import.meta.main) {
  for (const kind of PROVIDER_KINDS) writeFileSync(new URL(`${kind}/list.ts`, PROVIDERS), providerList(kind));
}
