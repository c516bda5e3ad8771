import { ProviderError } from '../failure.ts';
import { withoutAddresses } from './address.ts';

/** An error of nodemailer, with the server's answer if there was one. */
interface Failure extends Error {
  readonly code?: string;
  /** The code of the system, where nodemailer replaced it by its own. */
  readonly originalCode?: string;
  /** The status of the server's answer, if there was one. */
  readonly responseCode?: number;
  /** The server's answer, if there was one. */
  readonly response?: string;
  /** The command that was answered: `MAIL FROM`, `RCPT TO`, `DATA`, …, or `CONN`. */
  readonly command?: string;
}

/** Errors of Node itself are not instances of the `Error` of a Jest test, so `instanceof` is not used. */
const asFailure = (error: unknown): Failure =>
  typeof error === 'object' && error !== null && 'message' in error ? (error as Failure) : new Error(String(error));

const again = (code: string, failure: Failure) => new ProviderError('again', code, messageOf(failure), failure);

/** Failures at several addresses of a host come as one AggregateError, which has a code and no message. */
const messageOf = ({ message, code = 'unknown' }: Failure) => withoutAddresses(message || code);

/** Why there is no connection. An answer before the server has seen the mail is never about the mail. */
export function failureOfConnecting(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const failure = asFailure(error);
  if (failure.code === 'EAUTH' || failure.code === 'ENOAUTH') return again('MAIL_LOGIN', failure);
  if (failure.code === 'ETLS' || TLS.test(failure.originalCode ?? '')) return again('MAIL_TLS', failure);
  if (failure.code === 'ETIMEDOUT') return again('MAIL_TIMEOUT', failure);
  return again(failure.responseCode ? 'MAIL_REFUSED_FOR_NOW' : 'MAIL_UNREACHABLE', failure);
}

/** Codes of an invalid certificate, or of a server without a common TLS version. */
const TLS = /CERT|LEAF_SIGNATURE|^ERR_(?:SSL|TLS)/;

/** Why a mail was not sent. */
export function failureOfSending(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const failure = asFailure(error);
  const { responseCode = 0 } = failure;
  if (LOGIN.includes(responseCode)) return again('MAIL_LOGIN', failure);
  if (isAboutSender(failure)) return again('MAIL_SENDER', failure);
  if (isAboutService(failure)) return again('MAIL_REFUSED_FOR_NOW', failure);
  if (isAboutMail(failure)) return new ProviderError('never', 'MAIL_REFUSED', messageOf(failure), failure);
  if (isPutOff(failure)) return new ProviderError('later', 'MAIL_DEFERRED', messageOf(failure), failure);
  return failureOfConnecting(error);
}

/** The server wants a login or other credentials. The configuration is at fault, not the mail. */
const LOGIN = [530, 534, 535, 538];
/** The mail is too large for the server, which may already say so in answer to the sender. */
const TOO_LARGE = 552;

/** The server refuses MAIL_FROM, and so every other mail. */
const isAboutSender = ({ command, responseCode = 0 }: Failure) =>
  command === 'MAIL FROM' && isFinal(responseCode) && responseCode !== TOO_LARGE;

/** nodemailer itself refuses a mail above the size that the server announced. */
const isAboutMail = ({ code, responseCode }: Failure) =>
  responseCode === undefined ? code === 'EMESSAGE' : isFinal(responseCode);

/** Commands whose answers are about the recipient or the mail: the server has accepted the client before. */
const MAIL_COMMANDS = ['RCPT TO', 'DATA'];
/** The server will close the connection. */
const CLOSING = 421;

/** Greylisting, a full mailbox or a busy filter: the server may still accept the next mail. */
const isPutOff = ({ command = '', responseCode = 0 }: Failure) =>
  MAIL_COMMANDS.includes(command) && responseCode >= 400 && responseCode < 500 && responseCode !== CLOSING;

/**
 * The enhanced status code in an answer to DATA (RFC 3463) says that the mail system is at fault, as in `451 4.3.0`. Every other
 * mail would fail as well. Only X.3.4 is about the mail: it is too large.
 */
const isAboutService = ({ command, response = '' }: Failure) =>
  command === 'DATA' && /^\d{3}[ -][45]\.3\.(?!4\b)\d/.test(response);

/** Status 503 means that client and server disagree about the state of the session. */
const isFinal = (responseCode: number) => responseCode >= 500 && responseCode < 600 && responseCode !== 503;

/** Whether the server has answered this mail and accepts another one in this session. */
export function leavesSessionUsable(error: unknown): boolean {
  const { code, responseCode = 0 } = asFailure(error);
  return (code === 'EENVELOPE' || code === 'EMESSAGE') && responseCode !== CLOSING;
}

/** Whether the connection ended, with or without an answer. */
export function isLoss(error: unknown): boolean {
  const { code = '', responseCode } = asFailure(error);
  return responseCode === CLOSING || code === 'ECONNECTION' || code === 'ESOCKET';
}
