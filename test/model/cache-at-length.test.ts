import { cacheSuite } from './cache/suite.ts';

cacheSuite(10_000);
