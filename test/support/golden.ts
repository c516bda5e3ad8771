import { readFileSync } from 'node:fs';
import type { SchemaVersion } from '../../src/events/codec.ts';
import type { Envelope } from '../../src/events/envelope.ts';

/** `schemas/golden.json`: bytes that were written once stay readable for ever. A new schema version adds a line. */
interface Golden {
  readonly schemas: readonly (SchemaVersion & {
    /** sha256 of the schema in Avro's canonical form. */
    readonly schema: string;
    readonly payload: object;
    /** Hex. */
    readonly value: string;
  })[];
  readonly record: {
    readonly envelope: Envelope;
    readonly key: string;
    readonly headers: Readonly<Record<string, string>>;
    /** Hex. */
    readonly value: string;
  };
}

export const golden = JSON.parse(readFileSync(new URL('../../schemas/golden.json', import.meta.url), 'utf8')) as Golden;
