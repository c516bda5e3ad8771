import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import { badInput, type InputError } from './errors.ts';

/** Errors in one answer: a body of 64 KiB can have thousands of unknown fields. */
const MAX_ERRORS = 20;

/** Validates with the zod schemas that also generate the OpenAPI page. Nothing is coerced. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  // Headers are checked but not replaced: replacing them would make every later access to them cost a copy.
  const accepted = httpPart === 'headers' ? () => ({}) : (value: unknown) => ({ value });
  return (input: unknown) => {
    const result = z.safeParse(schema, input, { error: describe });
    return result.success ? accepted(result.data) : { error: invalid(result.error.issues) };
  };
};

/** Validates a part of a request whose schema depends on another part. Throws 400. `path` is where the part is in the body. */
export function validAt<Schema extends z.ZodType>(schema: Schema, value: unknown, path: string[]): z.output<Schema> {
  const result = z.safeParse(schema, value, { error: describe });
  if (result.success) return result.data;
  throw invalid(result.error.issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] })));
}

function invalid(issues: readonly z.core.$ZodIssue[]) {
  return invalidInput(issues.slice(0, MAX_ERRORS).flatMap(toErrors).slice(0, MAX_ERRORS));
}

/** 400 with an error for each field. A message is the rest of a sentence that begins with the field's name. */
export function invalidInput(errors: InputError[]) {
  const first = errors[0] ?? { path: '', message: 'is not valid' };
  return badInput('VALIDATION_FAILED', `${nameOf(first.path)} ${first.message}.`, errors);
}

const nameOf = (pointer: string): string => (pointer === '' ? 'The body' : pointer.slice(1, 101));

function toErrors(issue: z.core.$ZodIssue): InputError[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: pointer(issue.path), message: issue.message }];
  return issue.keys.map((key) => ({ path: pointer([...issue.path, key]), message: issue.message }));
}

/** RFC 6901. */
export const pointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** The message for an issue, as the rest of a sentence that begins with the name of the field. */
function describe(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'unrecognized_keys') return 'is not a known field';
  if (issue.code === 'too_small') return `must ${verbOf(issue)} at least ${issue.minimum}${unitOf(issue)}`;
  if (issue.code === 'too_big') return `must ${verbOf(issue)} at most ${issue.maximum}${unitOf(issue)}`;
  if (issue.code !== 'invalid_type') return 'is not valid';
  return issue.input === undefined ? 'is required' : `must be ${EXPECTED[issue.expected] ?? issue.expected}`;
}

type SizeIssue = Extract<z.core.$ZodRawIssue, { code?: 'too_small' | 'too_big' }>;

const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' items' };
const unitOf = ({ origin }: SizeIssue): string => UNITS[origin] ?? '';
const verbOf = ({ origin }: SizeIssue): string => (origin in UNITS ? 'have' : 'be');

const EXPECTED: Readonly<Record<string, string>> = {
  object: 'a JSON object',
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
};
