import { LRUCache } from 'lru-cache';
import { AppError, keyReused, reasonOf, unavailable } from '../errors.ts';
import { encodeEvent, subjectOf } from '../events/codec.ts';
import { toRecord } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import { idFromCommand } from '../events/ids.ts';
import type { Placement } from '../events/placement.ts';
import type { Faults } from '../faults.ts';
import { AppendError } from '../log/event-log.ts';
import type { Appender } from '../event-store/appender.ts';
import {
  type CommandOrigin,
  type CommandOutcome,
  type CommandRequest,
  isMet,
  prepareOnce,
  type VersionCondition,
} from './command.ts';
import type { Decider } from './decider.ts';
import { createQueues } from './queues.ts';
import type { Claim, StreamStore } from '../event-store/stream-store.ts';
import type { Settled, Verdicts } from '../event-store/verdicts.ts';

export interface HandlerOptions {
  readonly streams: StreamStore;
  readonly appender: Appender;
  readonly verdicts: Pick<Verdicts, 'verdictOn'>;
  readonly placement: Placement;
  readonly newId: () => string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Waits before the given retry, counted from 1: capped, with jitter. */
  readonly pause: (retry: number) => Promise<void>;
  readonly limits: HandlerLimits;
  readonly faults?: Faults;
}

export interface HandlerLimits {
  readonly verdictWaitMs: number;
  /** Tries again after a lost race. */
  readonly retries: number;
  /** Streams whose state is remembered. */
  readonly streams: number;
}

/** A stream as it was at one version. `fresh`: read for this very decision. */
interface Loaded<State> {
  readonly state: State;
  readonly version: number;
  readonly head: string;
  readonly fresh: boolean;
}

/** What came of one try: an answer, or a lost race. */
type Try = CommandOutcome | 'lost';

/** The one handler: load, fold, decide, append, await the verdict, and again after a lost race. */
export function createHandler<State, Command, Context>(
  decider: Decider<State, Command, Context>,
  { streams, appender, verdicts, placement, newId, now, pause, limits, faults = {} }: HandlerOptions,
): (request: CommandRequest<Command, Context>) => Promise<CommandOutcome> {
  const known = new LRUCache<string, Loaded<State>>({ max: limits.streams });
  const inTurn = createQueues();
  type Request = CommandRequest<Command, Context> & { readonly command: () => Promise<Command> };

  async function handle(request: Request): Promise<CommandOutcome> {
    for (let retry = 0; retry <= limits.retries; retry++) {
      if (retry > 0) await pause(retry);
      const outcome = await attempt(request, retry === 0);
      if (outcome !== 'lost') return outcome;
    }
    throw new AppError('conflict', 'CONFLICT', 'Others changed this at the same time, again and again. Please retry.');
  }

  async function attempt(request: Request, first: boolean): Promise<Try> {
    const remembered = first ? recall(request) : undefined;
    const loaded = remembered ?? (await load(request));
    if ('replayed' in loaded) return loaded;
    const decided = await decideOn(request, loaded);
    if ('replayed' in decided) return decided;
    const { event, basis } = decided;
    const claim = {
      ...placement.place(request.stream),
      stream: request.stream,
      version: basis.version + 1,
      recordId: newId(),
    };
    const verdict = await append(request, claim, event, basis.head);
    if (verdict.kind === 'lost') return 'lost';
    if (verdict.kind !== 'won') throw unanswered(request.stream, verdict);
    const { version, recordId } = claim;
    known.set(request.stream, { state: decider.evolve(basis.state, event), version, head: recordId, fresh: false });
    return { recordId, version, replayed: false };
  }

  /** A state without reading, only for a command that nobody can have sent before. */
  function recall({ stream, origin }: Request): Loaded<State> | undefined {
    if (origin.repeatable) return undefined;
    if (stream === idFromCommand(decider.category, origin.commandId)) {
      return { state: decider.initial, version: 0, head: '', fresh: false };
    }
    return known.get(stream);
  }

  /** Waits for what the sender has seen: he may have read the log himself. */
  async function load(request: Request): Promise<Loaded<State> | CommandOutcome> {
    for (let retry = 0; retry <= limits.retries; retry++) {
      if (retry > 0) await pause(retry);
      const loaded = await loadNow(request);
      if ('replayed' in loaded || loaded.version >= (request.seen ?? 0)) return loaded;
    }
    throw unanswered(request.stream, { kind: 'unknown' });
  }

  async function loadNow({ stream, origin }: Request): Promise<Loaded<State> | CommandOutcome> {
    const before = known.get(stream) ?? { state: decider.initial, version: 0, head: '' };
    const snapshot = await streams.load(stream, placement.place(stream), before.version, origin.commandId);
    if (snapshot.stopped !== undefined) throw unanswered(stream, { kind: 'stopped', reason: snapshot.stopped });
    if (snapshot.quarantined !== undefined)
      throw unanswered(stream, { kind: 'quarantined', reason: snapshot.quarantined });
    if (snapshot.repeated) return replay(snapshot.repeated, origin);
    const state = snapshot.events.reduce((folded, { event }) => decider.evolve(folded, event), before.state);
    const last = snapshot.events.at(-1);
    const loaded = { state, version: last?.version ?? before.version, head: last?.id ?? before.head, fresh: true };
    known.set(stream, { ...loaded, fresh: false });
    return loaded;
  }

  /** Decides; a refusal on a remembered state is decided again on a fresh one before it is given. */
  async function decideOn(
    request: Request,
    basis: Loaded<State>,
  ): Promise<{ event: AnyEvent; basis: Loaded<State> } | CommandOutcome> {
    try {
      const context = (await request.context?.(basis.version)) as Context;
      const event = decider.decide(request.stream, await request.command(), basis.state, context);
      mustMatch(request.expectedVersion, basis.version);
      return { event, basis };
    } catch (error) {
      if (basis.fresh || !(error instanceof AppError)) throw error;
      const fresh = await load(request);
      return 'replayed' in fresh ? fresh : decideOn(request, fresh);
    }
  }

  /**
   * Appends and waits for the verdict, not for the acknowledgement: what is judged was read from the log, and only what all
   * in-sync replicas have can be read. An append whose outcome nobody knows is no failure: the verdict says what became of it.
   */
  async function append({ stream, origin }: Request, claim: Claim, event: AnyEvent, prev: string): Promise<Settled> {
    const envelope = {
      id: claim.recordId,
      type: subjectOf(event.type),
      stream,
      time: new Date(now()).toISOString(),
      version: claim.version,
      prev,
      commandId: origin.commandId,
      actor: origin.actor,
      correlationId: origin.correlationId,
      causationId: origin.commandId,
      bodyHash: origin.bodyHash,
    };
    const { topic, partition } = claim;
    faults['before-append']?.();
    const appended = appender.append({ topic, partition, record: toRecord(envelope, encodeEvent(event)) });
    return Promise.race([verdicts.verdictOn(claim, limits.verdictWaitMs), refusalOf(appended, faults['after-append'])]);
  }

  return (request) => inTurn(request.stream, () => handle({ ...request, command: prepareOnce(request.command) }));
}

/** Rejects when nothing of the append is or will be in the log; settles in no other case. */
function refusalOf(appended: Promise<void>, acknowledged?: () => void): Promise<never> {
  return new Promise((_, reject) => {
    appended.then(acknowledged, (error: unknown) => {
      if (!(error instanceof AppendError)) reject(error instanceof Error ? error : new Error(reasonOf(error)));
      else if (error.outcome === 'refused') {
        reject(unavailable('LOG_UNAVAILABLE', 'The log takes no records now.', error));
      }
    });
  });
}

function replay(
  { version, id, bodyHash }: { version: number; id: string; bodyHash: string },
  origin: CommandOrigin,
): CommandOutcome {
  if (bodyHash !== origin.bodyHash && !origin.olderBodyHashes.includes(bodyHash)) {
    throw keyReused();
  }
  return { recordId: id, version, replayed: true };
}

function mustMatch(condition: VersionCondition | undefined, version: number): void {
  if (isMet(condition, version)) return;
  throw new AppError(
    'stale',
    'PRECONDITION_FAILED',
    'It was changed since: the version in If-Match is not the current one.',
  );
}

function unanswered(stream: string, verdict: Settled): AppError {
  switch (verdict.kind) {
    case 'quarantined':
      return unavailable('STREAM_QUARANTINED', `${stream} is closed until an operator releases it.`);
    case 'stopped':
      return unavailable(
        'PROJECTION_STOPPED',
        'This part of the data takes no changes until an operator has looked at it.',
      );
    default:
      return unavailable(
        'OUTCOME_UNKNOWN',
        'It is not known yet whether this happened. Retry with the same Idempotency-Key.',
      );
  }
}
