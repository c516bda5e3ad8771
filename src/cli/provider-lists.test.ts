import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PROVIDER_KINDS, providerList } from './provider-lists.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

it.each(PROVIDER_KINDS)('the committed list of providers of %s is the one that `npm run providers` makes', (kind) => {
  expect(providerList(kind)).toBe(readFileSync(path.join(root, `src/providers/${kind}/list.ts`), 'utf8'));
});

/** Prints the packages that the configuration loads, with the folder of each in node_modules. */
const LOADED = `
import { registerHooks } from 'node:module';

const loaded = new Set();
registerHooks({
  load(url, context, next) {
    loaded.add(/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1] ?? 'none');
    return next(url, context);
  },
});
await import('./src/config.ts');
console.log(JSON.stringify([...loaded]));
`;

it('loads no provider with the configuration', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', LOADED], {
    cwd: root,
  });
  const packages = JSON.parse(stdout) as string[];
  expect(packages).toContain('zod');
  expect(packages).not.toContain('nodemailer');
  expect(packages.filter((name) => name.startsWith('@aws-sdk'))).toEqual([]);
});

const PIGEON = `
import { z } from 'zod';
import { defineMailProvider } from './mail.ts';

export const provider = defineMailProvider({
  name: 'pigeon',
  about: 'sends a pigeon',
  settings: {
    PIGEON_LOFT: z.string().optional().describe('place where pigeons start'),
    PIGEON_COUNT: z.coerce.number().int().min(1).default(3).describe('pigeons for one mail'),
  },
  problem: ({ PIGEON_LOFT }, isEnabled) => (isEnabled && !PIGEON_LOFT ? 'PIGEON_LOFT: must be set' : undefined),
  open: ({ PIGEON_LOFT, PIGEON_COUNT, MAIL_FROM }) =>
    Promise.resolve({
      send: ({ to }) => Promise.resolve(\`\${PIGEON_COUNT} from \${PIGEON_LOFT} for \${MAIL_FROM} to \${to}\`),
      stop: () => Promise.resolve(),
    }),
});
`;

const SHELF = `
import { z } from 'zod';
import { openDiskFiles } from './disk.ts';
import { defineFilesProvider } from './files.ts';

export const provider = defineFilesProvider({
  name: 'shelf',
  about: 'on the shelf SHELF_PATH',
  settings: { SHELF_PATH: z.string().default('shelf').describe('directory of the shelf') },
  open: ({ DATA_DIR, SHELF_PATH }) => openDiskFiles(DATA_DIR + '/' + SHELF_PATH),
});
`;

/** Uses both providers through the registries, and prints what came of it. */
const USE = `
import { readdirSync } from 'node:fs';
import { loadConfig } from './src/config.ts';
import { openFiles } from './src/providers/files/providers.ts';
import { openMail } from './src/providers/mail/providers.ts';

const refusalOf = (environment) => {
  try {
    return [loadConfig(environment, '/nowhere'), 'accepted'][1];
  } catch (error) {
    return error.message;
  }
};
const environment = { MAIL_PROVIDERS: 'pigeon,file', PIGEON_LOFT: 'the roof', FILES_PROVIDER: 'shelf', DATA_DIR: './data' };
const config = loadConfig(environment, '/nowhere');
const mail = await openMail(config);
const letter = { messageId: 'a@b.example', to: 'ann@example.com', subject: 's', body: 'b' };
const sent = await mail.send(mail.default, letter, new AbortController().signal);
await (await openFiles(config)).put('a.txt', Buffer.from('a'), 'text/plain');
const refusals = [{ MAIL_PROVIDERS: 'pigeon' }, { PIGEON_COUNT: '0' }, { MAIL_PROVIDERS: 'dove' }].map(refusalOf);
console.log(JSON.stringify({ sent, shelf: readdirSync('./data/shelf'), refusals }));
`;

describe('a file that is dropped into src/providers/mail or src/providers/files', () => {
  let copy: string;
  const node = (...args: string[]) => promisify(execFile)(process.execPath, args, { cwd: copy, timeout: 50_000 });
  const read = (file: string) => readFileSync(path.join(copy, file), 'utf8');
  const write = (file: string, text: string) => writeFileSync(path.join(copy, file), text);

  beforeAll(async () => {
    copy = mkdtempSync(path.join(tmpdir(), 'openmusic-providers-'));
    cpSync(path.join(root, 'src'), path.join(copy, 'src'), { recursive: true });
    cpSync(path.join(root, 'package.json'), path.join(copy, 'package.json'));
    symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    mkdirSync(path.join(copy, 'docs/reference'), { recursive: true });
    write('src/providers/mail/pigeon.ts', PIGEON);
    write('src/providers/files/shelf.ts', SHELF);
    write('use.ts', USE);
    await node('src/cli/provider-lists.ts');
  });
  afterAll(() => rmSync(copy, { recursive: true }));

  it('can be selected, and its settings are validated', async () => {
    const { stdout } = await node('use.ts');
    expect(JSON.parse(stdout)).toEqual({
      sent: '3 from the roof for openmusic@localhost to ann@example.com',
      shelf: ['a.txt'],
      refusals: [
        'PIGEON_LOFT: must be set',
        expect.stringMatching(/^PIGEON_COUNT: /),
        expect.stringMatching(/^MAIL_PROVIDERS\.0: .*"pigeon"/),
      ],
    });
  });

  it('is documented on the configuration page and in .env.example', async () => {
    await node('src/cli/config-docs.ts');
    const page = read('docs/reference/configuration.md');
    expect(page).toMatch(/\| `PIGEON_COUNT` +\| `3` +\| pigeons for one mail +\|/);
    expect(page).toMatch(/\| `MAIL_PROVIDERS` .*`pigeon`: sends a pigeon/);
    expect(page).toMatch(/\| `FILES_PROVIDER` .*`shelf`: on the shelf SHELF_PATH/);
    expect(read('.env.example')).toContain('# directory of the shelf\n#SHELF_PATH=shelf\n');
  });
});
