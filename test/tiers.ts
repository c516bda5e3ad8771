/**
 * The two tiers of the tests, as globs from the root. `fast` is what a change needs, within five minutes. `full` holds the
 * expensive ones: faults, crash points, benchmarks, the models at length, and suites that drive many processes. Each test
 * file is in exactly one of them: test/tiers.test.ts checks it.
 */
const LONG = [
  'access-processes',
  'accounts',
  'authorization',
  'bench',
  'cached-reads',
  'command-line',
  'consumers',
  'dead-letters',
  'embedded-postgres',
  'event-log-kafka-faults',
  'event-log-kafka-login',
  'files',
  'files-across-disks',
  'files-over-bad-line',
  'generator',
  'guard',
  'history',
  'log-commands',
  'log-init',
  'log-voids',
  'mail-smtp',
  'main',
  'migrate',
  'openapi-fuzz',
  'pages',
  'plans',
  'postgres-tls',
  'projector-kafka',
  'rebuild-lock',
  'servers',
  'stack',
  'start-failures',
  'sweep',
  'uploads',
];

export const FULL: readonly string[] = [
  'test/faults/**/*.test.ts',
  'test/strangers/**/*.test.ts',
  'test/model/*-at-length.test.ts',
  `test/integration/@(${LONG.join('|')}).test.ts`,
];

export const FAST: readonly string[] = [
  '@(src|stack)/**/*.test.ts',
  'test/*.test.ts',
  'test/@(conformance|docs|schemas)/**/*.test.ts',
  'test/e2e/**/*.test.ts',
  'test/smoke/**/*.test.ts',
  'test/model/!(*-at-length).test.ts',
  `test/integration/!(${LONG.join('|')}).test.ts`,
];

/** The files that take longest. A machine that has never run them has no times, and would begin with the largest ones. */
export const FIRST: readonly string[] = [
  'test/faults/cache.test.ts',
  'test/strangers/owner.test.ts',
  'test/integration/bench.test.ts',
  'test/faults/recover-crash-points.test.ts',
  'test/faults/jobs.test.ts',
  'test/faults/crash-points-distributed.test.ts',
  'test/integration/embedded-postgres.test.ts',
  'test/faults/jobs-workers.test.ts',
  'test/integration/stack.test.ts',
  'test/faults/broker.test.ts',
  'test/faults/crash-points.test.ts',
  'test/model/arbitration-at-length.test.ts',
  'test/faults/cache-races.test.ts',
  'test/integration/generations.test.ts',
  'test/smoke/stack.test.ts',
  'test/model/arbitration.test.ts',
  'test/integration/event-log-kafka.test.ts',
  'test/integration/projector.test.ts',
];
