import { Command } from 'commander';
import { reasonOf } from '../errors.ts';
import { accountsGrantAdmin } from './accounts.ts';
import { type AdoptOptions, logAdopt } from './adopt.ts';
import {
  deadLettersDrop,
  deadLettersList,
  type DeadLetterOptions,
  deadLettersRedrive,
  deadLettersShow,
} from './dead-letters.ts';
import { logInit, logVerify, logVoid } from './log.ts';
import { migrateUp } from './migrate.ts';
import { projectionsRebuild } from './projections.ts';
import { quarantineList, quarantineRelease } from './quarantine.ts';
import { logRecover, RECOVER_HELP, type RecoverCommandOptions } from './recover.ts';

async function exits(code: Promise<number>): Promise<void> {
  process.exitCode = await code;
}
const program = new Command('openmusic').description('Looks after an OpenMusic installation.').showHelpAfterError();

const log = program.command('log').description('the event log');
log
  .command('init')
  .description('make the topics and their first records')
  .action(() => exits(logInit()));
log
  .command('verify')
  .description('check every record and the chain of every stream')
  .action(() => exits(logVerify()));
log
  .command('void <position>')
  .description('declare the record at topic/partition@offset a loser for ever')
  .requiredOption('--why <reason>', 'kept beside the position')
  .action((position: string, { why }: { why: string }) => exits(logVoid(position, why)));

log
  .command('recover')
  .description(
    'find out how log and Postgres stand to each other, and mend it after one of them was restored from a copy',
  )
  .option('--answer <word>', 'types the answer: append, anew, follow or restored')
  .option('--url <base>', 'of a running server with an embedded log; PUBLIC_URL unless it is given')
  .addHelpText('after', RECOVER_HELP)
  .action((options: RecoverCommandOptions) => exits(logRecover(options)));
log
  .command('adopt')
  .description('make this database the owner of the log of a broker')
  .option('--claim', 'which it was under another identity, before a restore or an upgrade')
  .option('--fence', 'in place of another database, whose processes stop for good')
  .option('--owner <identity...>', 'with --fence, instead of typing it: who owns the log now')
  .action((options: AdoptOptions) => exits(logAdopt(options)));

const projections = program.command('projections').description('the read models');
projections
  .command('rebuild')
  .description('replay the log into a new build, compare it with the live one, serve it')
  .action(() => exits(projectionsRebuild()));

const quarantine = program.command('quarantine').description('streams closed by a record that could not be applied');
quarantine
  .command('list')
  .description('which, where and why')
  .action(() => exits(quarantineList()));
quarantine
  .command('release <stream>')
  .description('apply what the stream has kept')
  .action((stream: string) => exits(quarantineRelease(stream)));

const deadLetters = program.command('dead-letters').description('jobs that were given up; asks the running API');
const URL_OPTION = ['--url <base>', 'of the API; PUBLIC_URL unless it is given'] as const;
deadLetters
  .command('list')
  .description('which, since when and why')
  .option(...URL_OPTION)
  .action((options: DeadLetterOptions) => exits(deadLettersList(options)));
deadLetters
  .command('show <job>')
  .description('all that is known of one: every attempt, parameters and payload')
  .option(...URL_OPTION)
  .action((job: string, options: DeadLetterOptions) => exits(deadLettersShow(job, options)));
deadLetters
  .command('redrive <jobs...>')
  .description('do them again')
  .option('--payload <json>', 'a corrected one, for a new job that takes the place of the one that is named')
  .option(...URL_OPTION)
  .action((jobs: string[], options: DeadLetterOptions & { payload?: string }) =>
    exits(deadLettersRedrive(jobs, options)),
  );
deadLetters
  .command('drop <jobs...>')
  .description('take them off the list')
  .option(...URL_OPTION)
  .action((jobs: string[], options: DeadLetterOptions) => exits(deadLettersDrop(jobs, options)));

const accounts = program.command('accounts').description('who may do what');
accounts
  .command('grant-admin <username>')
  .description('make somebody an admin')
  .action((username: string) => exits(accountsGrantAdmin(username)));

program
  .command('migrate [direction]')
  .description('bring the tables that are never rebuilt up to date (up, the only direction)')
  .action((direction?: string) => exits(migrateUp(direction)));

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`openmusic: ${reasonOf(error)}\n`);
  process.exitCode = 1;
});
