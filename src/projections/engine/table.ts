import type { AnyEvent } from '../../events/events.ts';
import type { AppliedEvent } from './applied-event.ts';

type Value = string | number | boolean | null;

type SqlType = 'text' | 'integer' | 'bigint' | 'boolean' | 'timestamptz';

/** A column that a projection writes as `Written` and a query reads as `Read`. */
export interface Column<Written extends Value = Value, Read = unknown> {
  readonly type: SqlType;
  /** The column without its name, as `CREATE TABLE` has it. */
  readonly ddl: string;
  /** The engine writes it: it is the version of the stream whose id is the row's key. */
  readonly isStreamVersion?: boolean;
  /** Carry the types only. They are never set. */
  readonly written?: Written;
  readonly read?: Read;
}

interface StreamVersion extends Column<number, number> {
  readonly isStreamVersion: true;
}

const required = <Written extends Value, Read>(type: SqlType, more = ''): Column<Written, Read> => ({
  type,
  ddl: `${type}${more} NOT NULL`,
});

/** Ids are compared as bytes: that is faster than by the rules of a language, and the same in every database. */
const BYTES = ' COLLATE "C"';

const integer = required<number, number>('integer');
const streamVersion: StreamVersion = { ...integer, isStreamVersion: true };

/** The kinds of columns. Each but the key is NOT NULL unless it is in `nullable`. */
export const column = {
  key: { type: 'text', ddl: `text${BYTES} PRIMARY KEY` } as Column<string, string>,
  id: required<string, string>('text', BYTES),
  text: required<string, string>('text'),
  integer,
  bigint: required<number, number>('bigint'),
  boolean: required<boolean, boolean>('boolean'),
  /** Written as ISO 8601. */
  timestamptz: required<string, Date>('timestamptz'),
  /** The version of the stream whose id is the row's key. The engine writes it with every event of the projection's categories. */
  streamVersion,
} as const;

export const nullable = <Written extends Value, Read>({
  type,
  ddl,
}: Column<Written, Read>): Column<Written | null, Read | null> => ({ type, ddl: ddl.replace(' NOT NULL', '') });

export const checked = <Written extends Value, Read>(
  { type, ddl }: Column<Written, Read>,
  condition: string,
): Column<Written, Read> => ({ type, ddl: `${ddl} CHECK (${condition})` });

/** By name, in their order in the table. The first is the primary key. */
export type Columns = Readonly<Record<string, Column>>;

/** A row as a projection puts it. */
export type WrittenRow<C extends Columns> = {
  readonly [Name in keyof C as C[Name] extends StreamVersion ? never : Name]: Exclude<C[Name]['written'], undefined>;
};

/** A table as the engine writes it. */
export interface Table {
  readonly name: string;
  /** Columns and their types; the first is the primary key. */
  readonly columns: Readonly<Record<string, SqlType>>;
}

/**
 * What a projection can do to its table. Applying the same event twice must leave the same rows, but for counters: these
 * rely on the checkpoint, and on being touched from one partition only.
 */
export interface TableChanges<C extends Columns = Columns> {
  /** Writes the whole row; every column is named. */
  put(row: WrittenRow<C>): void;
  /** Writes some columns of a row; ignored when there is no such row. */
  patch(key: string, columns: Partial<WrittenRow<C>>): void;
  remove(key: string): void;
  /** Adds to counters, which begin at zero. Such a table has only its key and counters, and is written by `add` alone. */
  add(key: string, counters: Counters<C>): void;
}

type Counters<C extends Columns> = {
  readonly [Name in keyof C as number extends C[Name]['written'] ? Name : never]?: number;
};

/** What a projection does with an event. Time, actor, stream and version are those of the record. */
type Handler<C extends Columns, Event extends AnyEvent> = (
  event: Event,
  changes: TableChanges<C>,
  record: Omit<AppliedEvent, 'event'>,
) => void;

/** One handler for each event of the categories `Event`: a missing one does not compile. */
type Handlers<C extends Columns, Event extends AnyEvent> = {
  readonly [One in Event as One['type']]: Handler<C, One>;
};

/** For events that change nothing but the stream's version. */
export const ignored = (): void => undefined;

interface TableOptions {
  /** What follows `ON <table>`, or a whole statement for an index that has a name or is unique. */
  readonly indexes?: readonly string[];
  /** Storage parameters. */
  readonly storage?: string;
}

/**
 * Turns events into one table. `apply` writes only rows that belong to the stream of the event in hand and decides from
 * nothing but the event, so that every interleaving of partitions gives the same rows.
 */
export interface Projection<C extends Columns = Columns> {
  readonly table: Table;
  /** Creates the table and its indexes, in the schema of a new generation. */
  readonly ddl: string;
  apply(applied: AppliedEvent, changes: TableChanges<C>): void;
}

export interface DeclaredTable<C extends Columns> extends Table {
  readonly ddl: string;
  /** `Event`: every event of the categories that the projection reads. Events of others are not given to it. */
  projection<Event extends AnyEvent>(handlers: Handlers<C, Event>): Projection<C>;
}

/** What a projection can do to a declared table. */
export type ChangesOf<T> = T extends DeclaredTable<infer C> ? TableChanges<C> : never;

/** A row as queries read it, or some of its columns. */
export type RowOf<T, Name extends ColumnsIn<T> = ColumnsIn<T>> =
  T extends DeclaredTable<infer C> ? { readonly [N in Name & keyof C]: Exclude<C[N]['read'], undefined> } : never;

type ColumnsIn<T> = T extends DeclaredTable<infer C> ? keyof C : never;

/** Declares the table of a projection once: its DDL, the type of its rows, and what may be done to them. */
export function table<const C extends Columns>(name: string, columns: C, options?: TableOptions): DeclaredTable<C>;
export function table(name: string, columns: Columns, options: TableOptions = {}): DeclaredTable<Columns> {
  const entries = Object.entries(columns);
  const plain: Table = { name, columns: Object.fromEntries(entries.map(([column, { type }]) => [column, type])) };
  const ddl = ddlOf(name, columns, options);
  const versionColumn = entries.find(([, { isStreamVersion }]) => isStreamVersion)?.[0];
  return {
    ...plain,
    ddl,
    projection: (handlers: AnyHandlers) => ({
      table: plain,
      ddl,
      apply(applied, changes) {
        const handle = handlers[applied.event.type];
        if (!handle) return;
        handle(applied.event, changes, applied);
        if (versionColumn !== undefined) changes.patch(applied.stream, { [versionColumn]: applied.version });
      },
    }),
  };
}

type AnyHandlers = Partial<Record<AnyEvent['type'], Handler<Columns, AnyEvent>>>;

/** The primary key's column. */
export function keyOf({ name, columns }: Table): string {
  const [first] = Object.keys(columns);
  if (first === undefined) throw new Error(`Table ${name} has no columns.`);
  return first;
}

function ddlOf(name: string, columns: Columns, { indexes = [], storage }: TableOptions): string {
  const lines = Object.entries(columns).map(([column, { ddl }]) => `    ${column} ${ddl}`);
  const create = `CREATE TABLE ${name} (\n${lines.join(',\n')}\n  )${storage === undefined ? '' : ` WITH (${storage})`}`;
  const all = indexes.map((index) => (index.startsWith('CREATE') ? index : `CREATE INDEX ON ${name} ${index}`));
  return [create, ...all].join(';\n  ');
}
