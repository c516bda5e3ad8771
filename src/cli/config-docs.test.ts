import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { configurationPage, envExample } from './config-docs.ts';

const committed = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

// `node src/cli/config-docs.ts` mends both.
test.each([
  ['docs/configuration.md', configurationPage],
  ['.env.example', envExample],
])('%s says what src/config.ts does', (path, made) => {
  expect(made()).toBe(committed(path));
});

test('a bar in a description does not break the table', () => {
  expect(configurationPage([{ name: 'A', fallback: undefined, about: 'one | two' }])).toContain('one \\| two');
});

test('a setting without a default is shown empty and commented out', () => {
  expect(envExample([{ name: 'A', fallback: undefined, about: 'what it is' }])).toContain('# what it is\n#A=\n');
});
