/** A command for one stream, with the origin that its record will name. */
export interface CommandRequest<Command, Context = undefined> {
  readonly stream: string;
  readonly command: Command | Prepare<Command>;
  readonly origin: CommandOrigin;
  /** The versions that `If-Match` allows; checked inside every decision. */
  readonly expectedVersion?: VersionCondition;
  /** A version of the stream that the sender has seen. The decision waits until it can be read. */
  readonly seen?: number;
  /**
   * Reads what the decision needs of other streams, and writes nothing, because it is called for every decision, with the stream's
   * version. It is never called for a command that had its effect before. Missing where Context is undefined.
   */
  readonly context?: (version: number) => Promise<Context>;
}

/**
 * Makes a command, and writes what the command refers to. The handler calls it once for a request, before the first decision, and
 * never for a command that was sent before, or while another version is expected.
 */
type Prepare<Command> = () => Promise<Command>;

const isPrepare = <Command>(command: Command | Prepare<Command>): command is Prepare<Command> =>
  typeof command === 'function';

/** Returns the command. Calls `mustBeAllowed` before a command is prepared: it throws when nothing may be written for it. */
export type PreparedCommand<Command> = (mustBeAllowed?: () => void) => Promise<Command>;

/** The same, made at most once however often it is asked for. A failure to make it is not tried again. */
export function prepareOnce<Command>(command: Command | Prepare<Command>): PreparedCommand<Command> {
  if (!isPrepare(command)) return () => Promise.resolve(command);
  let made: Promise<Command> | undefined;
  return (mustBeAllowed) => {
    if (!made) mustBeAllowed?.();
    return (made ??= command());
  };
}

export interface CommandOrigin {
  /** UUIDv7, or derived from an idempotency key. */
  readonly commandId: string;
  /** Whether the command id comes from an idempotency key, so that the command may have been sent before. */
  readonly repeatable: boolean;
  /** Keyed hash of the body, which is written to the record; empty without an idempotency key. */
  readonly bodyHash: string;
  /** Hashes of the same body by older keys, by which a repeated command is recognised too. */
  readonly olderBodyHashes: readonly string[];
  /** Account id, `anonymous` or `system`. */
  readonly actor: string;
  /** Id of the request. */
  readonly correlationId: string;
}

/** The origin of a command without an idempotency key of a client, whose body is not compared. */
export const originWithoutBody = (about: Omit<CommandOrigin, 'bodyHash' | 'olderBodyHashes'>): CommandOrigin => ({
  ...about,
  bodyHash: '',
  olderBodyHashes: [],
});

/** `any`: every version of a thing that exists. Versions: its version must be one of these. */
export type VersionCondition = 'any' | readonly number[];

export const isMet = (condition: VersionCondition | undefined, version: number): boolean =>
  condition === undefined || condition === 'any' || condition.includes(version);

/** Success: accepted, projected in every serving generation, and seen by every later read. */
export interface CommandOutcome {
  readonly recordId: string;
  /** The stream's version after the command. */
  readonly version: number;
  /** True when the same command had its effect before; nothing was appended this time. */
  readonly replayed: boolean;
}
