import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { schemaVersions, typeOf } from '../../src/events/codec.ts';
import { SECTIONS } from './event-tables.ts';
import { PAGE, pageWithParts } from './log-format.ts';

it('docs/reference/log-format.md has the tables and the code that `npm run log-format` writes', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toBe(await pageWithParts(page));
});

it('the tables explain every event once', () => {
  const explained = SECTIONS.flatMap(({ events }) => events);
  expect(explained.toSorted()).toEqual([...new Set(schemaVersions.map(({ subject }) => typeOf(subject)))].sort());
});
