import type { LogOwner } from '../events/genesis.ts';
import { lastingMembers, showMember } from '../log/clients.ts';
import type { GroupMember } from '../log/event-log.ts';
import { readIdentity } from '../log/identity.ts';
import { isSameOwner, showOwner } from '../log/owner.ts';
import { writeOwnership } from '../log/ownership.ts';
import { readVoids } from '../log/void-topic.ts';
import type { VoidTest } from '../log/voids.ts';
import { knownOwners } from '../projections/engine/known-owners.ts';
import { changeOwner, ownersOf, type PartitionOwner } from '../projections/engine/owners.ts';
import { READ_VERSION } from '../projections/projections.ts';
import { typed } from './typed.ts';
import { voidsPlaceOf } from './voids-place.ts';
import type { Output } from './print.ts';
import { type CommandContext, withResources } from './with-resources.ts';

export interface AdoptOptions {
  readonly fence?: boolean;
  readonly claim?: boolean;
  /** Identities of the present owners, instead of typing them. */
  readonly owner?: readonly string[];
}

/** Makes this database the owner of the log. Exit code 1: nothing was changed. */
export function logAdopt({ fence = false, claim = false, owner }: AdoptOptions): Promise<number> {
  return withResources({ as: 'lone-command' }, async (context) => {
    const { me, print } = context;
    if (!me) return refuse(context, 'An embedded log lies in its own database: there is nothing to adopt.');
    if (fence === claim) return refuse(context, 'Give either --fence or --claim.');
    const known = await readIdentity(context.admin);
    const { isVoid } = await readVoids(await voidsPlaceOf(context, known));
    const owners = await readOwners(context, isVoid);
    if (known && known.incarnation !== owners[0]?.incarnation) {
      return refuse(context, `This database belongs to another incarnation of the log, ${known.incarnation}.`);
    }
    const others = distinct(owners.map((each) => each.owner)).filter((each) => !isSameOwner(each, me));
    if (!(await ownProcessesEnded(context))) return 1;
    const allowed =
      others.length === 0 || (await (claim ? mayClaim(context, others) : mayFence(context, others, owner)));
    if (!allowed) return 1;
    // A fence that was interrupted after its last record leaves nothing to change, but jobs of the old owner may still run.
    const reason = claim && known?.owned ? 'claimed' : 'adopted';
    await change({ ...context, me }, { isVoid, owners, others, reason });
    print(`The log belongs to this database, ${showOwner(me)}. Start its processes without READ_ONLY.`);
    if (claim) print('If it was restored from a copy, run `npm run openmusic -- log recover` first.');
    return 0;
  });
}

function refuse({ print }: CommandContext, why: string): number {
  print(why);
  return 1;
}

const distinct = (owners: readonly (LogOwner | null)[]) => [
  ...new Map(owners.map((owner) => [showOwner(owner), owner])).values(),
];

async function readOwners({ log, placement, admin }: CommandContext, isVoid: VoidTest): Promise<PartitionOwner[]> {
  const owners = await ownersOf({ log, placement, isVoid }, await knownOwners(admin, placement, READ_VERSION));
  const unopened = owners.find(({ incarnation }) => incarnation === '');
  if (unopened)
    throw new Error(`${unopened.topic}/${unopened.partition} has no genesis record: this is not a log of OpenMusic.`);
  return owners;
}

/** The processes of a follower would stay followers of a log that they now own. */
async function ownProcessesEnded({ log, print }: CommandContext): Promise<boolean> {
  const members = await lastingMembers(() => log.members());
  for (const member of members) print(`  ${showMember(member)}`);
  if (members.length > 0) print('These processes of this database are alive. Stop them first.');
  return members.length === 0;
}

/** Only a log that this database owned can be claimed, when no process still uses it under the old identity. */
async function mayClaim({ log, admin, print }: CommandContext, others: readonly (LogOwner | null)[]): Promise<boolean> {
  const identity = await readIdentity(admin);
  const foreign = others.find((other) => !(identity?.owned && isSameOwner(identity.owner, other)));
  if (foreign !== undefined) {
    print(
      `The log belongs to ${showOwner(foreign)}, and never belonged to this database: it can only be taken over, by log adopt --fence.`,
    );
    return false;
  }
  const alive: GroupMember[] = [];
  for (const owner of others) if (owner) alive.push(...(await lastingMembers(() => log.members(owner))));
  for (const member of alive) print(`  ${showMember(member)}`);
  if (alive.length > 0) print('The owner is alive: these are its processes. A log that is in use cannot be claimed.');
  return alive.length === 0;
}

/** The owner may be alive: it stops when it reads the fence. */
async function mayFence(
  context: CommandContext,
  others: readonly (LogOwner | null)[],
  given: readonly string[] | undefined,
): Promise<boolean> {
  const { log, print } = context;
  for (const owner of others) {
    const members = owner ? await log.members(owner) : [];
    print(`The log belongs to ${showOwner(owner)}, which has ${members.length} living members:`);
    for (const member of members) print(`  ${showMember(member)}`);
  }
  for (const name of others.map(showOwner)) if (!(await isNamed(name, given, print))) return false;
  return true;
}

async function isNamed(name: string, all: readonly string[] | undefined, print: Output): Promise<boolean> {
  const text = `Type ${name} to continue: its processes will stop for good. Anything else changes nothing.`;
  const given = all?.includes(name) ? name : all?.join(' ');
  if ((await typed({ text, given, flag: '--owner <identity>' }, print)) === name) return true;
  print(`${name} was not named. Nothing was changed.`);
  return false;
}

interface Change {
  readonly isVoid: VoidTest;
  readonly owners: readonly PartitionOwner[];
  readonly others: readonly (LogOwner | null)[];
  readonly reason: 'adopted' | 'claimed';
}

async function change(
  { log, placement, admin, me, print }: CommandContext & { readonly me: LogOwner },
  { isVoid, owners, others, reason }: Change,
): Promise<void> {
  const now = () => new Date();
  const changed = await changeOwner({ log, placement, isVoid, me, from: others, reason, now }, owners);
  const since = changed.map(({ topic, partition, head }) => ({ topic, partition, version: head.version }));
  const incarnation = changed[0]?.incarnation ?? '';
  await writeOwnership(admin, { incarnation, owner: me }, since, reason === 'adopted');
  print(`${changed.length} partitions belong to ${showOwner(me)} now.`);
}
