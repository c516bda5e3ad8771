import { expect, it } from '@jest/globals';
import { secretsIn } from './support/logged-secrets.ts';
import { KNOWN_PASSWORD } from './support/people.ts';

const token = `eyJhbGciOiJIUzI1NiJ9.${'x'.repeat(20)}.${'y'.repeat(20)}`;

it.each([
  ['a token', `{"msg":"${token}"}`],
  ['the signature of a link', '{"url":"/files/file-1/content?owner=user-1&expires=1&signature=abc"}'],
  ['a bearer', 'Authorization: Bearer abc'],
  ['the hash of a password', '$argon2id$v=19$m=19456,t=2,p=1$abc$def'],
  ['a password', `{"password":"${KNOWN_PASSWORD}"}`],
])('finds %s in a log', (name, line) => {
  expect(secretsIn(`{"msg":"ready"}\n${line}\n`)).toEqual([`${name} is logged: ${line}`]);
});

it('accepts a log without secrets', () => {
  expect(secretsIn('{"msg":"slow","url":"/files/file-1/content"}\n')).toEqual([]);
});
