import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { eventTables } from './event-tables.ts';

export const PAGE = fileURLToPath(new URL('../../docs/reference/log-format.md', import.meta.url));
const reader = readFileSync(new URL('../../schemas/reader.py', import.meta.url), 'utf8');

/** Functions of the Python reader, quoted from the file. */
function quote(...names: readonly string[]): string {
  const functions = names.map((name) => new RegExp(`^def ${name}\\(.*?(?=\\n\\n\\n)`, 'ms').exec(reader)?.[0] ?? '');
  return ['```python', functions.join('\n\n\n'), '```'].join('\n');
}

/** The generated text between `<!-- begin NAME -->` and `<!-- end NAME -->`. */
const parts: Readonly<Record<string, () => string>> = {
  events: eventTables,
  rule: () => quote('judge', 'classify', 'arbitrate'),
};

/** The page with its generated parts as they must be now. */
export async function pageWithParts(page: string): Promise<string> {
  const made = Object.entries(parts).reduce((text, [name, make]) => {
    const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`];
    const [before, after] = [text.indexOf(begin), text.indexOf(end)];
    if (before < 0 || after < before) throw new Error(`the page has no part ${name}`);
    return `${text.slice(0, before)}${begin}\n\n${make()}\n\n${text.slice(after)}`;
  }, page);
  return format(made, { ...(await resolveConfig(PAGE)), parser: 'markdown' });
}
