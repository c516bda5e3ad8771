import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { keepCompiled } from '../compile-cache.ts';
import type { AdoptOptions } from './adopt.ts';
import type { DeadLetterOptions } from './dead-letters.ts';
import type { ExportOptions } from './log-export.ts';
import type { SearchOptions } from './log-search.ts';
import type { TailOptions } from './log-tail.ts';
import type { VoidOptions } from './log.ts';
import { type ListOptions, printError } from './print.ts';
import type { RecoverCommandOptions } from './recover.ts';
import type { PushOptions } from './schemas.ts';
import type { SeedOptions } from './seed.ts';

keepCompiled();

/** Commands are loaded when they run: all of them together take a second. */
const load = {
  accounts: () => import('./accounts.ts'),
  adopt: () => import('./adopt.ts'),
  deadLetters: () => import('./dead-letters.ts'),
  log: () => import('./log.ts'),
  logExport: () => import('./log-export.ts'),
  logImport: () => import('./log-import.ts'),
  logSearch: () => import('./log-search.ts'),
  logShow: () => import('./log-show.ts'),
  logStats: () => import('./log-stats.ts'),
  logTail: () => import('./log-tail.ts'),
  logTrace: () => import('./log-trace.ts'),
  migrate: () => import('./migrate.ts'),
  projections: () => import('./projections.ts'),
  quarantine: () => import('./quarantine.ts'),
  recover: () => import('./recover.ts'),
  schemas: () => import('./schemas.ts'),
  seed: () => import('./seed.ts'),
};

const SERVER_OPTION = [
  '--url <base>',
  'of a running server with an embedded log; PUBLIC_URL unless it is given',
] as const;

const VOID_HELP = `
With an embedded log and a running server, that server appends the void and must answer at --url. If it does not answer, stop it: the
command then appends the void itself. It always appends to a broker itself. Exit code 1: nothing was declared void.`;

const RECOVER_HELP = `
It reads the whole log, reports what it found and what each way would lose, and asks. It changes nothing before you answer.
Stop all OpenMusic processes first, except a server with an embedded log, through which it works.
Without a terminal and without --answer nothing is changed. When interrupted, run it again: it continues where it was.
Exit code 1: nothing was changed; 2: the log has faults.`;

const ADOPT_HELP = `
Give either --claim or --fence. Stop this database's own processes first; with --claim, those of the earlier identity too.
If the database was restored from a copy, run log recover next, before any process is started. When interrupted, run it again.
Without a terminal --fence needs --owner. Exit code 1: nothing was changed.`;

const PUSH_HELP = `
Each subject is in import mode while its versions are sent, because the ids in the records must be those of the registry. A registry
without import mode, or one in which an id belongs to another schema, is refused. When interrupted, run it again.
Exit code 1: not all schemas are at the registry.`;

const SELECTION_HELP = `
A bound is a time (2026-11-30, 2026-11-30T08:00Z; UTC without a zone) or a position (openmusic.catalog/3@128). Give --from and --to
once for each partition that they are about, at most one time among them. --from is part of the selection, --to is not.`;

const EXPORT_HELP = `${SELECTION_HELP}
Without --out the export goes to stdout. With it, <file>.manifest.json is written too; a name that ends with .gz is packed.
The same selection of the same log makes the same bytes. Nothing that is appended meanwhile is in it.
Exit code 2: the log cannot be judged up to its end; nothing was written to --out.`;

const IMPORT_HELP = `
Stop all OpenMusic processes first. The file is a raw export (openmusic log export --raw --out <file>), packed if its name ends with .gz.
It is read and compared before anything is written. An import that was interrupted goes on when it is run again. Exit code 1: refused.`;

const list = (value: string, before: string[] = []): string[] => [...before, value];

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

async function exits(code: Promise<number>): Promise<void> {
  process.exitCode = await code;
}

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const JSON_OPTION = ['--json', 'print a JSON array of all that is known'] as const;

const program = new Command('openmusic')
  .description('Administers an OpenMusic installation.')
  .version(version, '--version', 'print the version')
  .showHelpAfterError();

const log = program.command('log').description('the event log');
log
  .command('init')
  .description('make the topics and their first records')
  .action(async () => exits((await load.log()).logInit()));
log
  .command('verify')
  .description('check every record and the chain of every stream')
  .option('--json', 'print a JSON object with partitions and faults')
  .action(async (options: ListOptions) => exits((await load.log()).logVerify(options)));
const TYPE_OPTION = ['--type <name>', 'only events of this type, such as AlbumCreated; may be repeated', list] as const;
log
  .command('tail')
  .description('the newest accepted events')
  .option('-f, --follow', 'go on with what is appended, until Ctrl-C')
  .option('-n, --lines <count>', 'how many to begin with', count, 10)
  .option(...TYPE_OPTION)
  .option('--json', 'print each event as JSON in a line of its own')
  .action(async (options: TailOptions) => exits((await load.logTail()).logTail(options)));
log
  .command('show <stream>')
  .description('the accepted events of a stream')
  .option(...JSON_OPTION)
  .action(async (stream: string, options: ListOptions) => exits((await load.logShow()).logShow(stream, options)));
log
  .command('search')
  .description('the accepted events that fulfil all conditions')
  .option(...TYPE_OPTION)
  .option('--actor <account>', 'only events of this account id; also anonymous, system')
  .option('--text <text>', 'only events with this text in the payload, in any case')
  .option('--from <bound>', 'from this time or position on', list)
  .option('--to <bound>', 'before this time or position', list)
  .option('--limit <count>', 'show the newest so many', count, 100)
  .option(...JSON_OPTION)
  .addHelpText('after', SELECTION_HELP)
  .action(async (options: SearchOptions) => exits((await load.logSearch()).logSearch(options)));
log
  .command('trace <correlation>')
  .description('what a request (its X-Request-Id) or a job led to, across all topics')
  .option(...JSON_OPTION)
  .action(async (correlation: string, options: ListOptions) =>
    exits((await load.logTrace()).logTrace(correlation, options)),
  );
log
  .command('stats')
  .description('what the log holds, by topic and type')
  .option(...JSON_OPTION)
  .action(async (options: ListOptions) => exits((await load.logStats()).logStats(options)));
log
  .command('export')
  .description('write accepted events to a file')
  .option('--format <name>', 'ndjson, csv or parquet', 'ndjson')
  .option('--from <bound>', 'from this time or position on', list)
  .option('--to <bound>', 'before this time or position', list)
  .option(...TYPE_OPTION)
  .option('--raw', 'every record as it is stored, losers too, for log import')
  .option('--out <file>', 'stdout without it')
  .option('--manifest <file>', 'where ranges, counts and hash are written')
  .addHelpText('after', EXPORT_HELP)
  .action(async (options: ExportOptions) => exits((await load.logExport()).logExport(options)));
log
  .command('import <file>')
  .description('make a log from a raw export, in an empty one')
  .addHelpText('after', IMPORT_HELP)
  .action(async (file: string) => exits((await load.logImport()).logImport(file)));
log
  .command('void <position>')
  .description('declare the record at topic/partition@offset rejected for ever')
  .requiredOption('--why <reason>', 'kept beside the position')
  .option(...SERVER_OPTION)
  .addHelpText('after', VOID_HELP)
  .action(async (position: string, options: VoidOptions) => exits((await load.log()).logVoid(position, options)));

log
  .command('recover')
  .description('compare log and Postgres, and repair them after one of them was restored from a copy')
  .option('--answer <word>', 'the answer, instead of typing it: append, anew, follow or restored')
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
  .description('replay the log into a new generation, compare it with the live one, serve it')
  .action(async () => exits((await load.projections()).projectionsRebuild()));

const quarantine = program.command('quarantine').description('streams closed by a record that could not be applied');
quarantine
  .command('list')
  .description('which, where and why')
  .option(...JSON_OPTION)
  .action(async (options: ListOptions) => exits((await load.quarantine()).quarantineList(options)));
quarantine
  .command('release <stream>')
  .description('apply the records that the stream has kept')
  .action(async (stream: string) => exits((await load.quarantine()).quarantineRelease(stream)));

const deadLetters = program.command('dead-letters').description('jobs that were given up; asks the running API');
const URL_OPTION = ['--url <base>', 'of the API; PUBLIC_URL unless it is given'] as const;
deadLetters
  .command('list')
  .description('which, since when and why')
  .option(...JSON_OPTION)
  .option(...URL_OPTION)
  .action(async (options: DeadLetterOptions & ListOptions) =>
    exits((await load.deadLetters()).deadLettersList(options)),
  );
deadLetters
  .command('show <job>')
  .description('every attempt, the parameters and the payload of one')
  .option(...URL_OPTION)
  .action(async (job: string, options: DeadLetterOptions) =>
    exits((await load.deadLetters()).deadLettersShow(job, options)),
  );
deadLetters
  .command('redrive <jobs...>')
  .description('run them again')
  .option('--payload <json>', 'a corrected payload, for a new job that replaces the named one')
  .option(...URL_OPTION)
  .action(async (jobs: string[], options: DeadLetterOptions & { payload?: string }) =>
    exits((await load.deadLetters()).deadLettersRedrive(jobs, options)),
  );
deadLetters
  .command('drop <jobs...>')
  .description('remove them from the list')
  .option(...URL_OPTION)
  .action(async (jobs: string[], options: DeadLetterOptions) =>
    exits((await load.deadLetters()).deadLettersDrop(jobs, options)),
  );

const accounts = program
  .command('accounts')
  .description('roles, locks and sessions; a change takes effect within a second in every process');
accounts
  .command('list')
  .description('every account, its role and its sessions')
  .option(...JSON_OPTION)
  .action(async (options: ListOptions) => exits((await load.accounts()).accountsList(options)));
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
  .description('remove the role')
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
  .option(...JSON_OPTION)
  .action(async (username: string, options: ListOptions) =>
    exits((await load.accounts()).accountsSessions(username, options)),
  );
accounts
  .command('end-sessions <username>')
  .description('log the account out everywhere')
  .action(async (username: string) => exits((await load.accounts()).accountsEndSessions(username)));

const schemas = program.command('schemas').description('the schemas of the events');
schemas
  .command('push <url>')
  .description('register every schema at a schema registry, under the ids that records carry')
  .option('--user <name:password>', 'for basic authentication')
  .option('--user-file <file>', 'a file with name:password, which other users of this machine do not see')
  .addHelpText('after', PUSH_HELP)
  .action(async (url: string, options: PushOptions) => exits((await load.schemas()).schemasPush(url, options)));

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
