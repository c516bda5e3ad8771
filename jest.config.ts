import type { Config } from 'jest';

const config: Config = {
  testEnvironment: '<rootDir>/test/support/leak-environment.ts',
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } } }] },
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  reporters: ['default', '<rootDir>/test/support/skip-reporter.ts'],
  testTimeout: 60_000,
  maxWorkers: 2,
  openHandlesTimeout: 3_000,
};

export default config;
