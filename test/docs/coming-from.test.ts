import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { describeSettings } from '../../src/config.ts';
import { httpApp } from '../support/http-app.ts';

const root = new URL('../../', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, root), 'utf8');

/** The code in the right column of every table of the page. */
const named = read('docs/how-to/coming-from.md')
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .flatMap((line) => [...(line.split(/(?<!\\)\|/)[2] ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code));

const matching = (pattern: RegExp) => named.filter((code) => pattern.test(code));

describe('docs/how-to/coming-from.md names only', () => {
  it('scripts of package.json', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const used = matching(/^npm /).map((code) => code.replace(/^npm (run )?/, '').split(' ')[0] ?? '');
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((script) => !(script in scripts))).toEqual([]);
  });

  it('settings', () => {
    const settings = new Set(describeSettings().map(({ name }) => name));
    const used = matching(/^[A-Z][A-Z0-9_]+(=\w+)?$/).map((code) => code.replace(/=.*/, ''));
    expect(used.length).toBeGreaterThan(10);
    expect(used.filter((name) => !settings.has(name))).toEqual([]);
  });

  it('files and folders', () => {
    const used = matching(/^(src|migrations)\//);
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((file) => !existsSync(fileURLToPath(new URL(file, root))))).toEqual([]);
  });

  it('endpoints of the API', async () => {
    const { app } = httpApp();
    const { paths } = (await app.inject('/docs/json')).json<{ paths: Record<string, Record<string, unknown>> }>();
    const used = matching(/^(GET|POST|PUT|PATCH|DELETE) \//);
    expect(used.length).toBeGreaterThan(10);
    const unknown = used.filter((code) => {
      const [method = '', path = ''] = code.split(' ');
      return paths[path]?.[method.toLowerCase()] === undefined;
    });
    expect(unknown).toEqual([]);
    await app.close();
  });
});
