import { KNOWN_PASSWORD } from './people.ts';

/** Secrets that no log may contain: tokens, signatures of links, hashes and passwords. */
const SECRETS: Readonly<Record<string, RegExp>> = {
  'a token': /eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/,
  'the signature of a link': /signature=[\w%-]|X-Amz-Signature/i,
  'a bearer': /bearer +\S/i,
  'the hash of a password': /\$argon2id\$/,
  'a password': new RegExp(KNOWN_PASSWORD),
};

/** Each secret in the log, by its name, with the line that contains it. */
export function secretsIn(log: string): string[] {
  return log
    .split('\n')
    .flatMap((line) =>
      Object.entries(SECRETS).flatMap(([name, pattern]) => (pattern.test(line) ? [`${name} is logged: ${line}`] : [])),
    );
}
