import { AppError } from '../errors.ts';
import type { Appender } from '../event-store/appender.ts';
import type { Claim, StreamStore } from '../event-store/stream-store.ts';
import type { Verdicts } from '../event-store/verdicts.ts';
import type { Placement } from '../events/placement.ts';
import type { Faults } from '../faults.ts';
import { appendEvent } from './append-event.ts';
import {
  type CommandOutcome,
  type CommandRequest,
  isMet,
  type PreparedCommand,
  prepareOnce,
  type VersionCondition,
} from './command.ts';
import type { Decider, DeciderTypes, EventOf } from './decider.ts';
import { createQueues } from './queues.ts';
import { createStreamStates, type Loaded, type StreamStates } from './stream-states.ts';
import { unanswered } from './unanswered.ts';

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
  /** Retries after a lost race. */
  readonly retries: number;
  /** Streams whose state is remembered. */
  readonly streams: number;
}

export type RequestOf<Types extends DeciderTypes> = CommandRequest<Types['command'], Types['context']>;
/** A request whose command is made at most once. */
type Prepared<Types extends DeciderTypes> = Omit<RequestOf<Types>, 'command'> & {
  readonly command: PreparedCommand<Types['command']>;
};
type LoadedOf<Types extends DeciderTypes> = Loaded<Types['state']>;

/** The one handler: load, fold, decide, append, await the verdict, and start again after a lost race. */
export function createHandler<Types extends DeciderTypes>(
  decider: Decider<Types>,
  options: HandlerOptions,
): (request: RequestOf<Types>) => Promise<CommandOutcome> {
  const { streams, placement, pause, limits } = options;
  const states = createStreamStates(decider, { streams, placement, max: limits.streams });
  const load = createLoader(states, options);
  const inTurn = createQueues();

  async function attempt(request: Prepared<Types>, first: boolean): Promise<CommandOutcome | 'lost'> {
    const loaded = (first ? states.recall(request) : undefined) ?? (await load(request));
    if ('replayed' in loaded) return loaded;
    const decided = await decideOn(decider, load, request, loaded);
    if ('replayed' in decided) return decided;
    const { event, basis } = decided;
    const claim = claimOf(options, request.stream, basis.version + 1);
    const appending = { ...options, verdictWaitMs: limits.verdictWaitMs };
    const verdict = await appendEvent(appending, { claim, event, prev: basis.head, origin: request.origin });
    if (verdict.kind === 'lost') return 'lost';
    if (verdict.kind !== 'won') throw unanswered(request.stream, verdict);
    const { version, recordId } = claim;
    states.remember(request.stream, { state: decider.evolve(basis.state, event), version, head: recordId });
    return { recordId, version, replayed: false };
  }

  async function handle(request: Prepared<Types>): Promise<CommandOutcome> {
    for (let retry = 0; retry <= limits.retries; retry++) {
      if (retry > 0) await pause(retry);
      const outcome = await attempt(request, retry === 0);
      if (outcome !== 'lost') return outcome;
    }
    throw new AppError('conflict', 'CONFLICT', 'Other changes came first each time. Please retry.');
  }

  return (request) => inTurn(request.stream, () => handle({ ...request, command: prepareOnce(request.command) }));
}

type Loader<Types extends DeciderTypes> = (request: Prepared<Types>) => Promise<LoadedOf<Types> | CommandOutcome>;

/** Loads until the version that the sender has seen can be read: the sender may have read it from the log itself. */
function createLoader<Types extends DeciderTypes>(
  states: StreamStates<Types>,
  { pause, limits }: HandlerOptions,
): Loader<Types> {
  return async (request) => {
    for (let retry = 0; retry <= limits.retries; retry++) {
      if (retry > 0) await pause(retry);
      const loaded = await states.load(request);
      if ('replayed' in loaded || loaded.version >= (request.seen ?? 0)) return loaded;
    }
    throw unanswered(request.stream, { kind: 'unknown' });
  };
}

/** Decides. A refusal on a remembered state is decided again on a fresh one, because the remembered state may be old. */
async function decideOn<Types extends DeciderTypes>(
  decider: Decider<Types>,
  load: Loader<Types>,
  request: Prepared<Types>,
  basis: LoadedOf<Types>,
): Promise<{ event: EventOf<Types>; basis: LoadedOf<Types> } | CommandOutcome> {
  try {
    const context = (await request.context?.(basis.version)) as Types['context'];
    const mustBeExpected = () => requireVersion(request.expectedVersion, basis.version);
    const event = decider.decide(request.stream, await request.command(mustBeExpected), basis.state, context);
    mustBeExpected();
    return { event, basis };
  } catch (error) {
    if (basis.fresh || !(error instanceof AppError)) throw error;
    const fresh = await load(request);
    return 'replayed' in fresh ? fresh : decideOn(decider, load, request, fresh);
  }
}

const claimOf = ({ placement, newId }: HandlerOptions, stream: string, version: number): Claim => ({
  ...placement.place(stream),
  stream,
  version,
  recordId: newId(),
});

function requireVersion(condition: VersionCondition | undefined, version: number): void {
  if (isMet(condition, version)) return;
  throw new AppError('stale', 'PRECONDITION_FAILED', 'The version in If-Match is not the current one.');
}
