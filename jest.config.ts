import type { Config } from 'jest';
import { FAST, FULL } from './test/tiers.ts';

const tier = (name: string, files: readonly string[]): Config => ({
  displayName: name,
  testMatch: files.map((glob) => `<rootDir>/${glob}`),
  testEnvironment: '<rootDir>/test/support/leak-environment.ts',
  roots: ['<rootDir>/src', '<rootDir>/stack', '<rootDir>/test'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } } }] },
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
});

const config: Config = {
  projects: [tier('fast', FAST), tier('full', FULL)],
  reporters: ['default', '<rootDir>/test/support/skip-reporter.ts', '<rootDir>/test/support/time-reporter.ts'],
  testSequencer: '<rootDir>/test/support/longest-first.ts',
  testTimeout: 60_000,
  // One more than the cores of the smallest machine. Four make `test:full` no faster: it is bound by the processor.
  maxWorkers: 3,
  openHandlesTimeout: 3_000,
};

export default config;
