import { cronSuite } from './cron/suite.ts';

/** Half an hour, two hours, five changes a year, changes at midnight and before it. */
const always = ['Australia/Lord_Howe', 'Antarctica/Troll', 'Africa/Casablanca', 'America/Santiago', 'America/Nuuk'];

cronSuite({ zones: 12, always, expressions: 1 });
