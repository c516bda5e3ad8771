import type { LogOwner } from '../../src/events/genesis.ts';
import type { Append } from '../../src/log/event-log.ts';
import { genesisRecord, ownerRecord } from '../../src/log/genesis.ts';
import { createOwnership } from '../../src/log/ownership.ts';
import { partitionKey, type TopicPartition } from '../../src/events/record.ts';
import { changeOwner, ownersOf, type OwnersOptions, type PartitionOwner } from '../../src/projections/engine/owners.ts';
import { startApi } from './api-process.ts';
import { ADOPTER, EARLIER, OWNER } from './owners.ts';
import { ModelPostgres } from './postgres.ts';
import { startProjector } from './projector-process.ts';
import type { Actor } from './scheduler.ts';
import type { World } from './world.ts';

/** Owners of every partition before the schedule begins: the log was taken away, and came back. */
export const HISTORY = [OWNER, EARLIER, OWNER];

const INCARNATION = '00000000-0000-7000-8000-000000000000';

/** The log has an owner and former owners, and a second database follows it. */
export function beginOwned(world: World): void {
  const { log, partitions, mutation } = world;
  log.begin(partitions.flatMap((where) => historyOf(world, where)));
  const since = mutation.since ? HISTORY.length : 1;
  if (mutation.fence) world.ownership = ownershipOf(world, OWNER, () => since);
  const postgres = new ModelPostgres({ partitions, rules: mutation, violated: world.violated });
  const own = { postgres, apis: [], projectors: [], ownership: undefined, adopter: undefined };
  const adopter = Object.assign(Object.create(world) as World, own);
  world.adopter = adopter;
  startProjectors(adopter);
}

function historyOf({ placement }: World, where: TopicPartition): Append[] {
  const genesis = genesisRecord(placement, where, INCARNATION, OWNER);
  const appends = [{ ...where, record: genesis }];
  let head = { version: 1, id: genesis.headers.ce_id ?? '' };
  const change = (owner: LogOwner) =>
    ownerRecord(
      placement,
      {
        type: 'OwnerChanged',
        incarnation: INCARNATION,
        ...where,
        owner,
        previousOwner: null,
        reason: 'adopted',
        at: '2026-01-01T00:00:00.000Z',
      },
      head,
    );
  for (const owner of HISTORY.slice(1)) {
    const stray = change(ADOPTER);
    const record = change(owner);
    head = { version: head.version + 1, id: record.headers.ce_id ?? '' };
    appends.push({ ...where, record }, { ...where, record: stray }); // it comes too late, and changes nothing
  }
  return appends;
}

/** A process that detects the loss ends; the others of its database detect it a while later. */
function ownershipOf(world: World, me: LogOwner, since: (where: TopicPartition) => number) {
  const { scheduler, placement, partitions } = world;
  return createOwnership({
    me,
    placement,
    since: new Map(partitions.map((where) => [partitionKey(where), since(where)])),
    async onChange() {
      world.lost = true;
      await scheduler.sleep(world.network, 30);
      for (const { process } of [...world.apis, ...world.projectors]) process.die();
    },
  });
}

function startProjectors(world: World): void {
  const { plan, projectors } = world;
  for (const { process } of projectors.splice(0)) process.die();
  for (let each = 0; each < plan.projectors; each++) {
    projectors.push({ process: startProjector(world, `second projector ${each}`) });
  }
}

/** `log adopt --fence`, and the start of the new owner's processes. */
export async function adopt(world: World, adopter: World): Promise<void> {
  const { scheduler, plan } = world;
  const actor = scheduler.actor('adopter');
  await scheduler.sleep(actor, plan.adopts);
  const owned = await takeOver(world, actor);
  const versions = new Map(owned.map((each) => [partitionKey(each), each.head.version]));
  adopter.ownership = ownershipOf(adopter, ADOPTER, (where) => versions.get(partitionKey(where)) ?? 1);
  startProjectors(adopter);
  adopter.postgres.guarded = true; // as a follower it has served reads
  for (let each = 0; each < plan.apis; each++) adopter.apis.push({ process: startApi(adopter, `second api ${each}`) });
  world.adopted = true;
}

/** Runs the command until it succeeds. */
async function takeOver(world: World, actor: Actor): Promise<PartitionOwner[]> {
  const options = optionsOf(world, actor);
  for (;;) {
    try {
      const change = { me: ADOPTER, from: [OWNER], reason: 'adopted' as const, now: () => new Date(0) };
      return await changeOwner({ ...options, ...change }, await ownersOf(options));
    } catch {
      await world.scheduler.sleep(actor, 4);
    }
  }
}

function optionsOf({ scheduler, log, placement, partitions }: World, actor: Actor): OwnersOptions {
  return {
    placement: { ...placement, all: partitions },
    isVoid: (span) => 'blank' in span && span.blank === 'unreadable',
    log: {
      append: log.appendAs(actor),
      ends: (of) => scheduler.call(actor, () => log.ends(of)),
      read: (from) => scheduler.call(actor, () => [...log.from(from)]),
    },
  };
}
