import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import { badInput, type InputError } from './errors.ts';

/** The first of what is wrong is enough for people; a body of 64 KiB can hold thousands of unknown fields. */
const MAX_ERRORS = 20;

/** Validates with the zod schemas that also make the OpenAPI page. Nothing is coerced. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  // Headers are checked but left as they came: replacing them would cost every later look at them a copy.
  const accepted = httpPart === 'headers' ? () => ({}) : (value: unknown) => ({ value });
  return (input: unknown) => {
    const result = z.safeParse(schema, input, { error: describe });
    return result.success ? accepted(result.data) : { error: invalid(result.error.issues) };
  };
};

function invalid(issues: readonly z.core.$ZodIssue[]) {
  const errors = issues.flatMap(toErrors).slice(0, MAX_ERRORS);
  const first = errors[0] ?? { path: '', message: 'is not valid' };
  return badInput('VALIDATION_FAILED', `${nameOf(first.path)} ${first.message}.`, errors);
}

const nameOf = (pointer: string): string => (pointer === '' ? 'The body' : pointer.slice(1, 101));

function toErrors(issue: z.core.$ZodIssue): InputError[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: pointer(issue.path), message: issue.message }];
  return issue.keys.map((key) => ({ path: pointer([...issue.path, key]), message: issue.message }));
}

/** RFC 6901. */
const pointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** What is wrong, as the rest of a sentence that begins with the name of the field. */
function describe(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'unrecognized_keys') return 'is not a known field';
  if (issue.code === 'too_small') return `must be at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}`;
  if (issue.code !== 'invalid_type') return 'is not valid';
  return issue.input === undefined ? 'is required' : `must be ${EXPECTED[issue.expected] ?? issue.expected}`;
}

const EXPECTED: Readonly<Record<string, string>> = {
  object: 'a JSON object',
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
};
