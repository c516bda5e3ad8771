import { writePathSuite } from './arbitration-suite.ts';

writePathSuite(10_000);
