import { fileURLToPath } from 'node:url';
import { reasonOf } from '../../src/errors.ts';
import { runSchemas } from './schemas.ts';

/** `npm run schemas -- add Name`: writes the files of a new event schema. Exits with 1 when it cannot. */
try {
  process.stdout.write(await runSchemas(fileURLToPath(new URL('../..', import.meta.url)), process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}
