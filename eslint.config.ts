import { existsSync } from 'node:fs';
import js from '@eslint/js';
import { importX } from 'eslint-plugin-import-x';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** What everything may import that works on the log. */
const base = ['concurrency', 'errors', 'events', 'faults', 'lifecycle', 'log', 'postgres'];

/** The arrows of the house: which folder of src may import which. `main.ts` and `cli/` see everything. */
const arrows: Record<string, string[]> = {
  events: [],
  concurrency: ['errors'],
  postgres: ['concurrency', 'errors', 'events', 'lifecycle', 'unreachable'],
  log: ['concurrency', 'errors', 'events', 'lifecycle', 'unreachable', 'postgres'],
  cache: ['concurrency', 'errors', 'events', 'lifecycle', 'unreachable'],
  providers: ['concurrency', 'errors', 'lifecycle', 'config', 'settings'],
  accounts: ['concurrency', 'errors', 'events', 'lifecycle', 'postgres'],
  'event-store': base,
  commands: [...base, 'event-store'],
  projections: [...base, 'event-store', 'cache', 'text'],
  jobs: [...base, 'event-store', 'commands', 'projections', 'providers', 'config', 'text'],
  recovery: [...base, 'event-store', 'projections', 'jobs', 'consumers'],
  transfer: [...base, 'event-store', 'jobs', 'recovery'],
  consumers: [...base, 'event-store', 'commands', 'projections', 'providers', 'jobs', 'config'],
  http: [
    'concurrency',
    'errors',
    'events',
    'lifecycle',
    'log',
    'postgres',
    'cache',
    'event-store',
    'commands',
    'projections',
    'accounts',
    'providers',
    'jobs',
    'config',
    'text',
  ],
};

const isFile = (name: string) => existsSync(new URL(`./src/${name}.ts`, import.meta.url));
const zones = Object.entries(arrows).map(([folder, allowed]) => ({
  target: `./src/${folder}`,
  from: './src',
  except: [folder, ...allowed].map((name) => (isFile(name) ? `./${name}.ts` : `./${name}`)),
  message: `src/${folder} may import only: ${[folder, ...allowed].join(', ')}.`,
}));

const only = (name: string, folder: string) => ({
  name,
  message: `${name} is imported only in ${folder}.`,
});

/** The beginning of a statement on a table. */
const SQL = String.raw`/^\s*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|TRUNCATE|CREATE|ALTER|DROP)\s/`;
const noSql = ['Literal[value=SQL]', 'TemplateElement[value.raw=SQL]'].map((selector) => ({
  selector: selector.replace('SQL', SQL),
  message: 'No SQL in src/http: a query stands in the folder that owns its table.',
}));

const noLockSql = ['Literal[value=LOCK]', 'TemplateElement[value.raw=LOCK]'].map((selector) => ({
  selector: selector.replace('LOCK', '/pg_(?:try_)?advisory_/'),
  message: 'SQL of advisory locks stands in src/postgres/advisory-lock.ts.',
}));

export default defineConfig(
  { ignores: ['node_modules', 'data', 'coverage', '.cache'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { 'import-x': importX },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones }],
      'no-restricted-imports': ['error', { paths: [only('kafkajs', 'src/log'), only('ioredis', 'src/cache')] }],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only src/config.ts reads the environment.' },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-invalid-void-type': 'off', // refuses PromiseWithResolvers<void>
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  { files: ['src/log/**'], rules: { 'no-restricted-imports': ['error', { paths: [only('ioredis', 'src/cache')] }] } },
  { files: ['src/cache/**'], rules: { 'no-restricted-imports': ['error', { paths: [only('kafkajs', 'src/log')] }] } },
  {
    files: ['src/**', 'stack/**'],
    ignores: ['**/*.test.ts', 'src/postgres/advisory-lock.ts'],
    rules: { 'no-restricted-syntax': ['error', ...noLockSql] },
  },
  {
    files: ['src/http/**'],
    ignores: ['**/*.test.ts'],
    rules: { 'no-restricted-syntax': ['error', ...noSql, ...noLockSql] },
  },
  { files: ['src/config.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    files: ['test/**', '**/*.test.ts', 'bench/**', '*.config.ts'],
    rules: {
      'no-restricted-properties': 'off',
      'no-restricted-imports': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
);
