import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { isLoopback } from './ip-addresses.ts';
import { sessionOn, tooLate, type Login, type SmtpSession } from './smtp-session.ts';

export interface SmtpServer {
  readonly host: string;
  /** On port 465 the connection begins with TLS. */
  readonly port: number;
  readonly login?: Login;
}

export interface Deadlines {
  /** From the first packet to the login, in milliseconds. */
  readonly openMs: number;
  /** For one letter, in milliseconds. An idle session is kept for as long. */
  readonly sendMs: number;
}

/** Opens a session that is ready to send letters. */
export async function openSession(server: SmtpServer, deadlines: Deadlines, signal: AbortSignal): Promise<SmtpSession> {
  const opening = AbortSignal.any([signal, AbortSignal.timeout(deadlines.openMs)]);
  const socket = await openSocket(server, opening);
  const session = sessionOn(new SMTPConnection(optionsOf(server, deadlines, socket)), deadlines.sendMs);
  const giveUp = () => session.end(tooLate('The mail server was not ready in time.'));
  opening.addEventListener('abort', giveUp, { once: true });
  try {
    await session.begin(server.login);
  } catch (error) {
    giveUp();
    throw error;
  } finally {
    opening.removeEventListener('abort', giveUp);
  }
  return session;
}

/** Opens the socket itself, because nodemailer asks name servers before it reads the hosts file. */
async function openSocket({ host, port }: SmtpServer, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? tooLate('The mail server could not be reached in time.') : error;
  }
}

/**
 * On other ports than 465 TLS is requested by STARTTLS if the server offers it, without a check of its certificate. A password is
 * sent only over TLS to a server with a valid certificate. A server on this machine needs neither.
 */
function optionsOf({ host, port, login }: SmtpServer, { openMs, sendMs }: Deadlines, connection: Socket) {
  const secure = port === 465;
  const isLocal = isLoopback(connection.remoteAddress ?? '');
  return {
    connection,
    host,
    port,
    secure,
    requireTLS: !secure && !isLocal && login !== undefined,
    tls: { rejectUnauthorized: !isLocal && (secure || login !== undefined) },
    connectionTimeout: openMs,
    greetingTimeout: openMs,
    socketTimeout: sendMs,
    socketCloseTimeout: 0,
  };
}
