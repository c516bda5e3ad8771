/** A server, by the settings that an operator finds it with. */
export interface ServerNamed {
  /** `Postgres`. */
  readonly service: string;
  /** `host:port`, or several. */
  readonly address: string;
  /** Settings that say where it is: `PGHOST and PGPORT`. */
  readonly where: string;
  /** Settings that say how the connection is encrypted. */
  readonly tls: string;
}

/** Says in one line why a server cannot be reached, and what to check. Undefined where the error means something else. */
export function whyUnreachable(error: unknown, { service, address, where, tls }: ServerNamed): string | undefined {
  for (const { code, message } of causesOf(error)) {
    const server = `${service} at ${address}`;
    if (code === 'ECONNREFUSED') return `${server} refused the connection. Check ${where}.`;
    if (UNKNOWN_NAME.has(code)) return `${server} cannot be found: its name is not known. Check ${where}.`;
    if (SILENT.has(code) || /timeout|timed out/i.test(message)) return `${server} does not answer. Check ${where}.`;
    if (CERTIFICATE.has(code)) return `${server} has a certificate that is not accepted: ${message}. Check ${tls}.`;
    if (isTlsMismatch(code, message)) return `${server} does not speak TLS. Check ${tls}.`;
    if (isBrokenOff(code, message)) return `${server} closed the connection. Check ${where}, and ${tls}.`;
  }
  return undefined;
}

const UNKNOWN_NAME = new Set(['ENOTFOUND', 'EAI_AGAIN']);
const SILENT = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']);
const CERTIFICATE = new Set([
  ...['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ...['UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'CERT_SIGNATURE_FAILURE'],
  ...['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'CERT_UNTRUSTED', 'ERR_TLS_CERT_ALTNAME_INVALID'],
]);

const isTlsMismatch = (code: string, message: string): boolean =>
  code === 'EPROTO' || code.startsWith('ERR_SSL_') || /before secure TLS connection|not support SSL/.test(message);

const isBrokenOff = (code: string, message: string): boolean =>
  code === 'ECONNRESET' || /terminated unexpectedly|closed connection|^Broker not connected$/i.test(message);

interface Cause {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  /** The errors of each address that was tried. */
  readonly errors?: unknown;
}

/** The causes of the error, innermost first, and the error itself. */
function* causesOf(error: unknown): Generator<{ code: string; message: string }> {
  if (typeof error !== 'object' || error === null) return;
  const { code, message, cause, errors }: Cause = error;
  if (Array.isArray(errors)) for (const each of errors) yield* causesOf(each);
  yield* causesOf(cause);
  yield { code: typeof code === 'string' ? code : '', message: typeof message === 'string' ? message : '' };
}
