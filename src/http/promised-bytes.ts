import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { REQUEST_LENGTH } from '../text.ts';

/** Longest form of one character in JSON: two escapes, as in `\ud83c\udfb5`. */
const CHARACTER_BYTES = 12;
/** Longest form of a number, true, false or null. */
const SCALAR_BYTES = 24;

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

/**
 * Bytes of the longest JSON body that a schema allows, without blanks. A text without a limit of its own, such as an opaque id,
 * counts as 0.
 */
export function maxBodyBytes(schema: z.ZodType): number {
  const root = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema;
  return bytesOf(root, root.$defs ?? {});
}

function bytesOf(schema: Schema, defs: Readonly<Record<string, Schema>>): number {
  const below = (inner: Schema = {}) => bytesOf(inner, defs);
  if (schema.$ref !== undefined) return below(defs[schema.$ref.split('/').at(-1) ?? '']);
  if (schema.anyOf) return Math.max(...schema.anyOf.map(below));
  if (schema.type === 'string') return textBytes(schema.maxLength);
  if (schema.type === 'array') return 2 + (schema.maxItems ?? 0) * below(schema.items);
  if (schema.type !== 'object') return SCALAR_BYTES;
  const fields = Object.entries(schema.properties ?? {});
  return fields.reduce((sum, [name, field]) => sum + name.length + 4 + below(field), 2);
}

const textBytes = (length = REQUEST_LENGTH): number => (length < REQUEST_LENGTH ? 2 + length * CHARACTER_BYTES : 0);

/** Raises the body limit of routes whose schema allows more than `bytes`, unless they set a limit. Call it before the routes are registered. */
export function raiseBodyLimits(app: FastifyInstance, bytes: number): void {
  app.addHook('onRoute', (route) => {
    const body = route.schema?.body;
    if (route.bodyLimit !== undefined || !(body instanceof z.ZodType)) return;
    const needed = maxBodyBytes(body);
    if (needed > bytes) route.bodyLimit = needed;
  });
}
