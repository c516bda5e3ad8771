/**
 * How the offer of global-setup reaches the test files: JSON, because each file runs in a world, often a process, of its
 * own.
 */
export const SERVERS_VARIABLE = 'OPENMUSIC_TEST_SERVERS';
