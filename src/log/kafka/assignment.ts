import { partitionKey, type TopicPartition } from '../../events/record.ts';

/** How often a wanted offset is requested before what came instead is delivered as it is. */
const TIMES_TO_ASK = 2;

/** One partition between two joins, with the offset that the handler wants next. */
export class AssignedPartition {
  readonly topic: string;
  readonly partition: number;
  #wanted: number | undefined;
  #asked = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Undefined while nothing is to be delivered: the handler has not chosen the first offset yet, or has stopped the partition. */
  get wanted(): number | undefined {
    return this.#wanted;
  }

  want(offset: number | undefined): void {
    this.#wanted = offset;
    this.#asked = 0;
  }

  /** Runs calls of the handler one at a time. */
  inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Whether to seek once more; false when seeking did not help. */
  askAgain(): boolean {
    return this.#asked++ < TIMES_TO_ASK;
  }
}

/** The partitions that one join gave to this member. A later join replaces it; work that still runs for this one is ignored then. */
export class GroupAssignment {
  readonly partitions: readonly AssignedPartition[];
  readonly #byKey: ReadonlyMap<string, AssignedPartition>;

  constructor(partitions: readonly TopicPartition[]) {
    this.partitions = partitions.map((partition) => new AssignedPartition(partition));
    this.#byKey = new Map(this.partitions.map((partition) => [partitionKey(partition), partition]));
  }

  find(of: TopicPartition): AssignedPartition | undefined {
    return this.#byKey.get(partitionKey(of));
  }

  has(partition: AssignedPartition): boolean {
    return this.find(partition) === partition;
  }
}
