import { Command, InvalidArgumentError } from 'commander';
import { reasonOf } from '../src/errors.ts';
import { generateInto } from './generate.ts';
import { profile } from './profile.ts';
import { runFigures } from './run.ts';

const program = new Command('bench').description('Measures figures beside their limits.').showHelpAfterError();

program
  .command('run [figures...]', { isDefault: true })
  .description('measure these figures, or all')
  .option('--quick', 'a smoke run: everything runs, no number means anything')
  .option('--rounds <count>', 'how often everything takes its turn', positive)
  .option('--seconds <seconds>', 'measured of one turn', positive)
  .option('--only <part>', 'only ways to run whose name contains this')
  .option('--url <url>', 'measure a running server, over HTTP')
  .option('--json', 'print every value')
  .option('--write', 'write docs/reference/benchmarks.md')
  .action(runFigures);

program
  .command('generate')
  .description('append generated events to the log that the environment names')
  .requiredOption('--events <count>', 'how many', positive)
  .option('--seed <seed>', 'the same seed gives the same events', Number)
  .action(async (options: { events: number; seed?: number }) => void (process.exitCode = await generateInto(options)));

program
  .command('profile <figure>')
  .description(
    'show where the time of create-album, list-songs, cached-playlist, playlist-songs, catch-up or jobs-noop goes',
  )
  .option('--only <part>', 'the way to run whose name contains this', 'embedded')
  .option('--connections <count>', 'of the load', positive, 64)
  .option('--seconds <seconds>', 'under load', positive, 10)
  .action(profile);

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

program.parseAsync().then(
  () => process.exit(),
  (error: unknown) => {
    process.stderr.write(`bench: ${reasonOf(error)}\n`);
    process.exit(1);
  },
);
