import { ProviderError } from '../failure.ts';
import { withoutAddresses } from './address.ts';

/** What nodemailer says of a failure, and the server in it. */
interface Failure extends Error {
  readonly code?: string;
  /** Of the system, where nodemailer has put its own in the place of that. */
  readonly originalCode?: string;
  /** Of the server's answer, where it gave one. */
  readonly responseCode?: number;
  /** The server's answer, where it gave one. */
  readonly response?: string;
  /** What was answered: `MAIL FROM`, `RCPT TO`, `DATA`, …, or `CONN`. */
  readonly command?: string;
}

/** Errors of Node itself are not instances of the Error that a test sees. */
const asFailure = (error: unknown): Failure =>
  typeof error === 'object' && error !== null && 'message' in error ? (error as Failure) : new Error(String(error));

const again = (code: string, failure: Failure) => new ProviderError('retryable', code, messageOf(failure), failure);

/** Failures at several addresses of a host come as one that says nothing but its code. */
const messageOf = ({ message, code = 'unknown' }: Failure) => withoutAddresses(message || code);

/** Why there is no connection. Whatever the server says before it has seen the mail says nothing of the mail. */
export function failureOfConnecting(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const failure = asFailure(error);
  if (failure.code === 'EAUTH' || failure.code === 'ENOAUTH') return again('MAIL_LOGIN', failure);
  if (failure.code === 'ETLS' || TLS.test(failure.originalCode ?? '')) return again('MAIL_TLS', failure);
  if (failure.code === 'ETIMEDOUT') return again('MAIL_TIMEOUT', failure);
  return again(failure.responseCode ? 'MAIL_REFUSED_FOR_NOW' : 'MAIL_UNREACHABLE', failure);
}

/** The certificate is not good, or the other side speaks no TLS that we do. */
const TLS = /CERT|LEAF_SIGNATURE|^ERR_(?:SSL|TLS)/;

/** Why a mail was not sent. */
export function failureOfSending(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const failure = asFailure(error);
  const { responseCode = 0 } = failure;
  if (LOGIN.includes(responseCode)) return again('MAIL_LOGIN', failure);
  if (isAboutSender(failure)) return again('MAIL_SENDER', failure);
  if (isAboutService(failure)) return again('MAIL_REFUSED_FOR_NOW', failure);
  if (isAboutMail(failure)) return new ProviderError('permanent', 'MAIL_REFUSED', messageOf(failure), failure);
  if (isPutOff(failure)) return new ProviderError('deferred', 'MAIL_DEFERRED', messageOf(failure), failure);
  return failureOfConnecting(error);
}

/** The server wants another login, or other credentials: ours to set right, whatever the mail. */
const LOGIN = [530, 534, 535, 538];
/** The mail is larger than the server takes; said as early as in answer to the sender. */
const TOO_LARGE = 552;

/** MAIL_FROM is refused, and so is every other mail. */
const isAboutSender = ({ command, responseCode = 0 }: Failure) =>
  command === 'MAIL FROM' && isFinal(responseCode) && responseCode !== TOO_LARGE;

/** Nodemailer itself refuses what is larger than the server has said it takes. */
const isAboutMail = ({ code, responseCode }: Failure) =>
  responseCode === undefined ? code === 'EMESSAGE' : isFinal(responseCode);

/** Steps at which the server has said yes to us, and speaks of the recipient or of the mail. */
const OF_THE_MAIL = ['RCPT TO', 'DATA'];
/** The server is about to close the connection. */
const CLOSING = 421;

/** Greylisting, a full mailbox, a filter that is busy: the next mail may be taken. */
const isPutOff = ({ command = '', responseCode = 0 }: Failure) =>
  OF_THE_MAIL.includes(command) && responseCode >= 400 && responseCode < 500 && responseCode !== CLOSING;

/**
 * The status code in an answer to DATA (RFC 3463) says that the mail system is at fault, as in `451 4.3.0`, which every other
 * mail would meet as well. Only X.3.4 is a mail that is too large.
 */
const isAboutService = ({ command, response = '' }: Failure) =>
  command === 'DATA' && /^\d{3}[ -][45]\.3\.(?!4\b)\d/.test(response);

/** 503 says that the session has come out of step. */
const isFinal = (responseCode: number) => responseCode >= 500 && responseCode < 600 && responseCode !== 503;

/** Whether the server has answered this mail and will take another one. */
export function leavesSessionUsable(error: unknown): boolean {
  const { code, responseCode = 0 } = asFailure(error);
  return (code === 'EENVELOPE' || code === 'EMESSAGE') && responseCode !== CLOSING;
}

/** Whether the connection ended, with or without a word. */
export function isLoss(error: unknown): boolean {
  const { code = '', responseCode } = asFailure(error);
  return responseCode === CLOSING || code === 'ECONNECTION' || code === 'ESOCKET';
}
