import { partitionKey, type Position, type TopicPartition } from '../../src/events/record.ts';
import type { CommitNotice } from '../../src/events/commit-notice.ts';
import type { Slice } from '../../src/log/event-log.ts';
import type { ProjectorObserver } from '../../src/projections/engine/apply.ts';
import { createProjector, type Projector } from '../../src/projections/engine/projector.ts';
import type { ProjectionStore } from '../../src/projections/engine/store.ts';
import { Connections } from './connections.ts';
import { isLossToAdopter } from './owners.ts';
import type { Actor } from './scheduler.ts';
import type { World } from './world.ts';
import { type LogEntry } from '../../src/log/entry.ts';

/** One incarnation of a projector and of its subscription. Its group may have replaced it without its knowledge. */
export interface ProjectorProcess {
  readonly actor: Actor;
  readonly connections: Connections;
  /** The group reassigns partitions after the current delivery. */
  rejoin(): void;
  die(): void;
}

/** The next offset of each partition; a stopped one is missing. */
type Wanted = Map<string, Position>;

export function startProjector(world: World, name: string): ProjectorProcess {
  const { scheduler, log, partitions, placement, plan, mutation } = world;
  const actor = scheduler.actor(name);
  const connections = new Connections(world, actor);
  const projector = createProjector({
    store: storeOver(connections, world),
    belongs: placement.belongs,
    voids: () =>
      scheduler.call(actor, () => (span) => mutation.voids && 'blank' in span && span.blank === 'unreadable'),
    ends: (of) => scheduler.call(actor, () => log.ends(of)),
    observer: observing(world),
    headsRemembered: plan.remembered,
    rule: mutation.rule,
    ownership: world.ownership,
  });
  const member = new Member(world, actor, projector);
  void member.run(plan.apart ? partitions.map((where) => [where]) : [partitions]);
  void member.look();
  return { actor, connections, rejoin: () => (member.leaving = true), die: () => scheduler.kill(actor) };
}

class Member {
  leaving = false;
  readonly #world: World;
  readonly #actor: Actor;
  readonly #projector: Projector;
  #wanted: Wanted = new Map();

  constructor(world: World, actor: Actor, projector: Projector) {
    this.#world = world;
    this.#actor = actor;
    this.#projector = projector;
  }

  /** Joins repeatedly. Each group of partitions is delivered in a loop of its own. */
  async run(groups: readonly (readonly TopicPartition[])[]): Promise<never> {
    for (;;) {
      this.leaving = false;
      const starts = await this.#begin();
      this.#wanted = new Map(starts.map((start) => [partitionKey(start), start]));
      await Promise.all(groups.map((group) => this.#deliverAll(group)));
    }
  }

  /** As the subscription does from time to time. */
  async look(): Promise<never> {
    const { scheduler, log } = this.#world;
    for (;;) {
      await scheduler.sleep(this.#actor, 70);
      try {
        for (const start of await this.#projector.retryStopped()) this.#wanted.set(partitionKey(start), start);
        const positions = this.#projector.positions();
        const ends = await scheduler.call(this.#actor, () => log.ends(positions));
        await this.#projector.compareEnds(ends);
      } catch {
        // the next check may succeed
      }
    }
  }

  async #deliverAll(group: readonly TopicPartition[]): Promise<void> {
    for (;;) {
      await this.#world.scheduler.turn(this.#actor, () => this.leaving || group.some((where) => this.#hasMore(where)));
      if (this.leaving) return;
      try {
        await this.#deliver(this.#slices(group).map((slice) => this.#cut(slice)));
      } catch {
        await this.#world.scheduler.sleep(this.#actor, 4);
      }
    }
  }

  async #deliver(slices: readonly Slice[]): Promise<void> {
    const context = { signal: new AbortController().signal, heartbeat: () => Promise.resolve() };
    for (const { next, ...where } of await this.#projector.deliver(slices, context)) {
      if (next === 'stopped') this.#wanted.delete(partitionKey(where));
      else this.#wanted.set(partitionKey(where), { ...where, offset: next });
    }
  }

  #hasMore(where: TopicPartition): boolean {
    const wanted = this.#wanted.get(partitionKey(where));
    return wanted !== undefined && this.#world.log.end(where) > wanted.offset;
  }

  #slices(group: readonly TopicPartition[]): Slice[] {
    return group.flatMap((where) => {
      const wanted = this.#wanted.get(partitionKey(where));
      const [first, ...rest] = wanted ? this.#world.log.from(wanted) : [];
      return first ? [{ ...where, records: [first, ...rest] as const }] : [];
    });
  }

  /** A fetch returns a random amount. */
  #cut({ records: [first, ...rest], ...where }: Slice): Slice {
    const records: [LogEntry, ...LogEntry[]] = [first, ...rest.slice(0, this.#world.scheduler.pick(4))];
    return { ...where, records };
  }

  async #begin(): Promise<Position[]> {
    for (;;) {
      try {
        return await this.#projector.assigned(this.#world.partitions);
      } catch {
        await this.#world.scheduler.sleep(this.#actor, 4);
      }
    }
  }
}

function storeOver(connections: Connections, world: World): ProjectionStore {
  const { postgres, mutation } = world;
  return {
    checkpoints: (partitions) => connections.query(() => postgres.checkpoints(partitions)),
    heads: (streams, at) => connections.query(() => postgres.heads(streams, at)),
    commit(commit) {
      if (!mutation.notifiedAfterCommit)
        spread(world, { won: commit.accepted.map(({ envelope }) => envelope.id), recheck: false });
      return connections.query(() => postgres.commit(commit));
    },
    noteStopped: (where, reason) => connections.query(() => postgres.noteStopped(where, reason)),
  };
}

/** Some notices are lost, some arrive twice, all arrive late. */
function spread({ scheduler, apis, network }: World, notice: CommitNotice): void {
  for (const slot of apis) {
    for (let copies = scheduler.pick(3); copies > 0; copies--) {
      void scheduler.turn(network).then(() => slot.process.onCommit(notice));
    }
  }
}

function observing(world: World): ProjectorObserver {
  const { violated, adopter } = world;
  return {
    committed: (_commit, notice) => spread(world, notice),
    lost: (record, reason, alarm) => {
      if (alarm) violated(`offset ${record.offset} raised an alarm: ${reason}`);
    },
    quarantined: () => undefined,
    stopped: ({ partition }, reason) => {
      if (!adopter || !isLossToAdopter(reason)) violated(`partition ${partition} stopped: ${reason}`);
    },
  };
}
