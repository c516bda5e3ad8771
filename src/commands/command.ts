/** A command on its way to one stream, with all that the record will say about where it came from. */
export interface CommandRequest<Command, Context = undefined> {
  readonly stream: string;
  readonly command: Command | Prepare<Command>;
  readonly origin: CommandOrigin;
  /** The version an `If-Match` insists on; checked inside every decision. */
  readonly expectedVersion?: VersionCondition;
  /** A version of the stream that the sender knows of: until it can be read, nothing is decided on what was read. */
  readonly seen?: number;
  /**
   * Reads what the decision needs of other streams, and writes nothing: it is called for every decision, with the stream's version,
   * and never for a command that was sent before. Missing where Context is undefined.
   */
  readonly context?: (version: number) => Promise<Context>;
}

/**
 * Makes a command, and writes what the command refers to. The handler calls it once for a request, before the first decision, and
 * never for a command that was sent before.
 */
type Prepare<Command> = () => Promise<Command>;

const isPrepare = <Command>(command: Command | Prepare<Command>): command is Prepare<Command> =>
  typeof command === 'function';

/** The same, made at most once however often it is asked for. A failure to make it is not tried again. */
export function prepareOnce<Command>(command: Command | Prepare<Command>): Prepare<Command> {
  let made: Promise<Command> | undefined;
  return () => (made ??= isPrepare(command) ? command() : Promise.resolve(command));
}

export interface CommandOrigin {
  /** UUIDv7, or derived from an idempotency key. */
  readonly commandId: string;
  /** Whether the command id comes from an idempotency key, so that it may have been sent before. */
  readonly repeatable: boolean;
  /** Keyed hash of the body as it is to be written; empty without an idempotency key. */
  readonly bodyHash: string;
  /** Further hashes, of older keys, under which the same body is recognised. */
  readonly olderBodyHashes: readonly string[];
  /** Account id, `anonymous` or `system`. */
  readonly actor: string;
  /** Id of the request. */
  readonly correlationId: string;
}

/** Of a command whose body nobody has to recognise. */
export const originWithoutBody = (about: Omit<CommandOrigin, 'bodyHash' | 'olderBodyHashes'>): CommandOrigin => ({
  ...about,
  bodyHash: '',
  olderBodyHashes: [],
});

/** `any`: the thing must exist. Versions: its version must be one of these. */
export type VersionCondition = 'any' | readonly number[];

export const isMet = (condition: VersionCondition | undefined, version: number): boolean =>
  condition === undefined || condition === 'any' || condition.includes(version);

/** Success: accepted, projected in every serving generation, and seen by every later read. */
export interface CommandOutcome {
  readonly recordId: string;
  /** The stream's version after the command. */
  readonly version: number;
  /** The same command had its effect before; this time nothing was appended. */
  readonly replayed: boolean;
}
