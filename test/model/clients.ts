import type { CommandOutcome, CommandRequest } from '../../src/commands/command.ts';
import { AppError } from '../../src/errors.ts';
import type { Step } from './decider.ts';
import type { Actor } from './scheduler.ts';
import type { World } from './world.ts';

/** A client that sends commands, and repeats one with the same id while its outcome is unknown. */
export interface Client {
  readonly actor: Actor;
  busy: boolean;
}

export function startClient(world: World, name: string): Client {
  const client: Client = { actor: world.scheduler.actor(name), busy: false };
  void command(world, client);
  return client;
}

async function command(world: World, client: Client): Promise<never> {
  for (let count = 1; ; count++) {
    await world.scheduler.turn(client.actor, () => !world.closing);
    client.busy = true;
    const request = nextRequest(world, `${client.actor.name}.${count}`);
    let answer = await ask(world, client.actor, request);
    for (let again = 0; again < 3 && answer === 'unknown' && request.origin.repeatable; again++) {
      answer = await ask(world, client.actor, request);
    }
    client.busy = false;
  }
}

function nextRequest(
  { scheduler, streams, created, newId, acknowledged, mutation }: World,
  label: string,
): CommandRequest<Step> {
  const { stream, creator } = streams[scheduler.pick(streams.length)]!;
  const isCreation = !created.has(creator) && scheduler.chance(0.7);
  if (isCreation) created.add(creator);
  const known = acknowledged.findLast((each) => each.stream === stream);
  return {
    stream,
    command: {
      label,
      atMost: mutation.refusals && scheduler.chance(0.1) ? 2 : Infinity,
      poison: scheduler.chance(0.02),
    },
    origin: {
      commandId: isCreation ? creator : newId(),
      repeatable: scheduler.chance(0.75),
      bodyHash: label,
      olderBodyHashes: [],
      actor: 'anonymous',
      correlationId: label,
    },
    expectedVersion: mutation.refusals && known && scheduler.chance(0.2) ? [known.version] : undefined,
  };
}

/** One request. Its answer counts as given even if the client has stopped waiting. */
async function ask(world: World, actor: Actor, request: CommandRequest<Step>): Promise<'known' | 'unknown'> {
  const { scheduler } = world;
  await scheduler.turn(actor);
  const apis = apisOf(world);
  const { process } = apis[scheduler.pick(apis.length)]!;
  const answered = process.handle(request).then(
    (outcome) => success(world, request, outcome),
    (error: unknown) => failure(world, request, error),
  );
  const patience = scheduler.sleep(actor, scheduler.chance(0.2) ? 15 : 150);
  return Promise.race([answered, patience.then(() => 'unknown' as const)]);
}

/** Clients learn of a new owner at some time, and use the former one as well until then. */
const apisOf = ({ apis, adopter }: World) => (adopter ? [...apis, ...adopter.apis] : apis);

function success(
  world: World,
  { stream, origin, expectedVersion }: CommandRequest<Step>,
  outcome: CommandOutcome,
): 'known' {
  const { commandId } = origin;
  const { version, recordId } = outcome;
  const before = world.acknowledged.find((each) => each.commandId === commandId);
  if (before && (before.recordId !== recordId || before.version !== version)) {
    world.violated(`command ${commandId} was acknowledged with two effects`);
  }
  if (Array.isArray(expectedVersion) && !expectedVersion.includes(version - 1)) {
    world.violated(`command ${commandId} made version ${version} in spite of its condition`);
  }
  world.acknowledged.push({ commandId, stream, version, recordId });
  return 'known';
}

function failure(world: World, { origin }: CommandRequest<Step>, error: unknown): 'known' | 'unknown' {
  if (!(error instanceof AppError) || error.kind === 'unavailable') return 'unknown';
  if (error.kind === 'stale' || error.kind === 'rejected') world.refused.push(origin.commandId);
  return 'known';
}

/** Reads at any process, and must see everything that any client was told before. */
export async function readRepeatedly(world: World, actor: Actor): Promise<never> {
  const { scheduler, acknowledged } = world;
  for (;;) {
    await scheduler.sleep(actor, scheduler.pick(20));
    const must = [...acknowledged];
    const apis = world.adopted && world.adopter ? world.adopter.apis : world.apis; // a former owner shows what it had
    const { process } = apis[scheduler.pick(apis.length)]!;
    const reading = process.read((postgres) =>
      must.find(
        ({ stream, version, recordId }) => postgres.tables.rowsOf(stream)[version - 1]?.envelope.id !== recordId,
      ),
    );
    const missing = await reading.catch(() => undefined);
    if (missing)
      world.violated(`a read does not see version ${missing.version} of ${missing.stream}, which was acknowledged`);
  }
}
