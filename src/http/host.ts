import type { IncomingMessage } from 'node:http';
import type { onRequestHookHandler } from 'fastify';
import { badInput } from './errors.ts';

/** A name, an address or nothing, with or without a port (RFC 9110, 7.2). */
const FORM = /^(?:\[[\da-f:.]+\]|[\w.~%!$&'()*+,;=-]*)(?::\d*)?$/i;

/** Refuses HTTP/1.1 without a Host, with several, or with an invalid one (RFC 9112, 3.2). HTTP/1.0 has no Host. */
export const mustNameHost: onRequestHookHandler = ({ raw }, _reply, next) => {
  if (raw.httpVersion === '1.0' || (countHosts(raw) === 1 && FORM.test(raw.headers.host ?? ''))) next();
  else next(badInput('MALFORMED_REQUEST', 'An HTTP/1.1 request must have exactly one valid Host header.', []));
};

/** Counts in the raw headers, because Node keeps only the first of several. */
function countHosts({ rawHeaders }: IncomingMessage): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at]?.toLowerCase() === 'host') count++;
  return count;
}
