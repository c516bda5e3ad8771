import { readFileSync, writeFileSync } from 'node:fs';
import { PAGE, pageWithParts } from './log-format.ts';

/**
 * `npm run log-format`: writes the parts of docs/reference/log-format.md that are generated from schemas and from the
 * reader.
 */
writeFileSync(PAGE, await pageWithParts(readFileSync(PAGE, 'utf8')));
