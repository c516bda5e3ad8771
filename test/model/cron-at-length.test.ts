import { cronSuite } from './cron/suite.ts';

cronSuite({ expressions: 6 });
