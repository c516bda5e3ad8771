import { Command } from 'commander';
import { keepCompiled } from '../compile-cache.ts';
import type { AdoptOptions } from './adopt.ts';
import type { DeadLetterOptions } from './dead-letters.ts';
import type { VoidOptions } from './log.ts';
import { printError } from './print.ts';
import type { RecoverCommandOptions } from './recover.ts';
import type { SeedOptions } from './seed.ts';

keepCompiled();

/** Commands are loaded when they run: all of them together take a second. */
const load = {
  accounts: () => import('./accounts.ts'),
  adopt: () => import('./adopt.ts'),
  deadLetters: () => import('./dead-letters.ts'),
  log: () => import('./log.ts'),
  migrate: () => import('./migrate.ts'),
  projections: () => import('./projections.ts'),
  quarantine: () => import('./quarantine.ts'),
  recover: () => import('./recover.ts'),
  seed: () => import('./seed.ts'),
};

const SERVER_OPTION = [
  '--url <base>',
  'of a running server with an embedded log; PUBLIC_URL unless it is given',
] as const;

const VOID_HELP = `
Beside a running server with an embedded log the void is appended by that server, which must answer at --url. Where it runs and does not
answer, stop it: then the command appends by itself. To a broker it always appends by itself. Code 1: nothing was declared void.`;

const RECOVER_HELP = `
It reads the whole log, says what was found and what each way would lose, and asks. It changes nothing before it was answered.
Stop all OpenMusic processes first; only beside a server with an embedded log it works through that server.
Without a terminal and without --answer nothing is changed. Broken off, it goes on where it was when it is run again. Code 1: nothing was changed; 2: the log has faults.`;

const ADOPT_HELP = `
Give one of --claim and --fence. Stop this database's own processes first. With --claim those of the earlier identity must have ended too.
If the database was restored from a copy, run log recover next, before any process is started. Broken off, run it again.
Without a terminal --fence needs --owner. Code 1: nothing was changed.`;

async function exits(code: Promise<number>): Promise<void> {
  process.exitCode = await code;
}
const program = new Command('openmusic').description('Looks after an OpenMusic installation.').showHelpAfterError();

const log = program.command('log').description('the event log');
log
  .command('init')
  .description('make the topics and their first records')
  .action(async () => exits((await load.log()).logInit()));
log
  .command('verify')
  .description('check every record and the chain of every stream')
  .action(async () => exits((await load.log()).logVerify()));
log
  .command('void <position>')
  .description('declare the record at topic/partition@offset a loser for ever')
  .requiredOption('--why <reason>', 'kept beside the position')
  .option(...SERVER_OPTION)
  .addHelpText('after', VOID_HELP)
  .action(async (position: string, options: VoidOptions) => exits((await load.log()).logVoid(position, options)));

log
  .command('recover')
  .description(
    'find out how log and Postgres stand to each other, and mend it after one of them was restored from a copy',
  )
  .option('--answer <word>', 'types the answer: append, anew, follow or restored')
  .option(...SERVER_OPTION)
  .addHelpText('after', RECOVER_HELP)
  .action(async (options: RecoverCommandOptions) => exits((await load.recover()).logRecover(options)));
log
  .command('adopt')
  .description('make this database the owner of the log of a broker')
  .option('--claim', 'it was the owner under another identity, before a restore or an upgrade')
  .option('--fence', 'in place of another database, whose processes stop for good')
  .option('--owner <identity...>', 'with --fence, instead of typing it: who owns the log now')
  .addHelpText('after', ADOPT_HELP)
  .action(async (options: AdoptOptions) => exits((await load.adopt()).logAdopt(options)));

const projections = program.command('projections').description('the read models');
projections
  .command('rebuild')
  .description('replay the log into a new build, compare it with the live one, serve it')
  .action(async () => exits((await load.projections()).projectionsRebuild()));

const quarantine = program.command('quarantine').description('streams closed by a record that could not be applied');
quarantine
  .command('list')
  .description('which, where and why')
  .action(async () => exits((await load.quarantine()).quarantineList()));
quarantine
  .command('release <stream>')
  .description('apply what the stream has kept')
  .action(async (stream: string) => exits((await load.quarantine()).quarantineRelease(stream)));

const deadLetters = program.command('dead-letters').description('jobs that were given up; asks the running API');
const URL_OPTION = ['--url <base>', 'of the API; PUBLIC_URL unless it is given'] as const;
deadLetters
  .command('list')
  .description('which, since when and why')
  .option(...URL_OPTION)
  .action(async (options: DeadLetterOptions) => exits((await load.deadLetters()).deadLettersList(options)));
deadLetters
  .command('show <job>')
  .description('all that is known of one: every attempt, parameters and payload')
  .option(...URL_OPTION)
  .action(async (job: string, options: DeadLetterOptions) =>
    exits((await load.deadLetters()).deadLettersShow(job, options)),
  );
deadLetters
  .command('redrive <jobs...>')
  .description('do them again')
  .option('--payload <json>', 'a corrected one, for a new job that takes the place of the one that is named')
  .option(...URL_OPTION)
  .action(async (jobs: string[], options: DeadLetterOptions & { payload?: string }) =>
    exits((await load.deadLetters()).deadLettersRedrive(jobs, options)),
  );
deadLetters
  .command('drop <jobs...>')
  .description('take them off the list')
  .option(...URL_OPTION)
  .action(async (jobs: string[], options: DeadLetterOptions) =>
    exits((await load.deadLetters()).deadLettersDrop(jobs, options)),
  );

const accounts = program.command('accounts').description('who may do what; holds within a second in every process');
accounts
  .command('list')
  .description('every account, its role and its sessions')
  .action(async () => exits((await load.accounts()).accountsList()));
accounts
  .command('grant <username> <role>')
  .description('give the role admin or analytics')
  .action(async (username: string, role: string) => exits((await load.accounts()).accountsGrant(username, role)));
accounts
  .command('grant-admin <username>')
  .description('the same as grant <username> admin')
  .action(async (username: string) => exits((await load.accounts()).accountsGrant(username, 'admin')));
accounts
  .command('revoke <username>')
  .description('take the role away')
  .action(async (username: string) => exits((await load.accounts()).accountsRevoke(username)));
accounts
  .command('lock <username>')
  .description('end all sessions and refuse logins')
  .action(async (username: string) => exits((await load.accounts()).accountsLock(username)));
accounts
  .command('unlock <username>')
  .description('allow logins again')
  .action(async (username: string) => exits((await load.accounts()).accountsUnlock(username)));
accounts
  .command('sessions <username>')
  .description('the sessions of an account, and until when they last')
  .action(async (username: string) => exits((await load.accounts()).accountsSessions(username)));
accounts
  .command('end-sessions <username>')
  .description('log the account out everywhere')
  .action(async (username: string) => exits((await load.accounts()).accountsEndSessions(username)));

program
  .command('migrate [direction]')
  .description('bring the tables that are never rebuilt up to date (up, the only direction)')
  .action(async (direction?: string) => exits((await load.migrate()).migrateUp(direction)));

program
  .command('seed')
  .description('load a small catalog, users and playlists into a running server, to try it with')
  .option(...URL_OPTION)
  .action(async (options: SeedOptions) => exits((await load.seed()).seed(options)));

program.parseAsync().catch((error: unknown) => {
  printError(error);
  process.exitCode = 1;
});
