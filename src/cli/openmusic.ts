import { Command } from 'commander';
import { reasonOf } from '../errors.ts';
import { accountsGrantAdmin } from './accounts.ts';
import { logInit, logVerify, logVoid } from './log.ts';
import { migrateUp } from './migrate.ts';
import { projectionsRebuild } from './projections.ts';
import { quarantineList, quarantineRelease } from './quarantine.ts';

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
