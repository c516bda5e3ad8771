import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { releasedSchemas, type StoredSchema } from './codec.ts';
import { normalForm, whyUnreadable } from './compatibility.ts';

const record = (...fields: object[]) => ({ type: 'record', name: 'AlbumLabelled', namespace: 'openmusic', fields }) as StoredSchema['definition']; // prettier-ignore
const id = { name: 'albumId', type: 'string' };
const year = { name: 'year', type: 'int' };
const label = { name: 'label', type: 'string', default: 'none' };

describe('a later version', () => {
  it.each([
    ['adds a field with a default', record(id, year, label)],
    ['removes a field', record(id)],
    ['widens a number', record(id, { ...year, type: 'long' })],
    ['allows null', record(id, { ...year, type: ['null', 'int'] })],
    ['changes the documentation', record(id, { ...year, doc: 'year of publication' })],
  ])('reads earlier values when it %s', (_, later) => {
    expect(whyUnreadable(later, record(id, year))).toBeUndefined();
  });

  it.each([
    ['adds a field without a default', record(id, year, { name: 'label', type: 'string' })],
    ['narrows a number', record(id, { ...year, type: 'string' })],
    ['renames a field', record(id, { name: 'published', type: 'int' })],
    ['forbids null', record(id, year), record(id, { ...year, type: ['null', 'int'] })],
  ])('does not read earlier values when it %s', (_, later, earlier = record(id, year)) => {
    expect(whyUnreadable(later, earlier)).toEqual(expect.any(String));
  });
});

/** With one version of each event these are none yet: what finds them is tested in test/schemas. */
it('every version in schemas/ reads the values of all its earlier versions', () => {
  const pairs = releasedSchemas.flatMap((later) =>
    releasedSchemas
      .filter(({ subject, version }) => subject === later.subject && version < later.version)
      .map((earlier) => ({ later, earlier })),
  );
  const conflicts = pairs.map(({ later, earlier }) => whyUnreadable(later.definition, earlier.definition));
  expect(conflicts.filter((reason) => reason !== undefined)).toEqual([]);
});

it('schemas are the same when they differ in layout, documentation and full names, and not when a default differs', () => {
  const file = readFileSync(new URL('../../schemas/AlbumChanged.v1.avsc', import.meta.url), 'utf8');
  const schema = JSON.parse(file) as StoredSchema['definition'];
  const undocumented = JSON.parse(file, (key, value: unknown) => (key === 'doc' ? undefined : value)) as typeof schema;
  expect(normalForm(undocumented)).toBe(normalForm(schema));
  expect(normalForm(record(id, label))).not.toBe(normalForm(record(id, { ...label, default: '' })));
});
