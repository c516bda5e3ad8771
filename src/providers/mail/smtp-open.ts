import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { isLoopback } from './ip-addresses.ts';
import { sessionOn, tooLate, type Login, type SmtpSession } from './smtp-session.ts';

export interface SmtpServer {
  readonly host: string;
  /** 465 begins with TLS. */
  readonly port: number;
  readonly login?: Login;
}

export interface Deadlines {
  /** From the first packet to the login. */
  readonly openMs: number;
  /** Of one letter. So long a session with nothing to do is kept, too. */
  readonly sendMs: number;
}

/** A session that letters can be sent in. */
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

/** Ours, for nodemailer asks name servers before it looks at the names that the machine itself knows. */
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
 * Other ports than 465 ask for TLS by STARTTLS where the server offers it, whoever that server is. A password is sent only
 * over TLS, to a server with a good certificate; on this machine it need have neither.
 */
function optionsOf({ host, port, login }: SmtpServer, { openMs, sendMs }: Deadlines, connection: Socket) {
  const secure = port === 465;
  const isHere = isLoopback(connection.remoteAddress ?? '');
  return {
    connection,
    host,
    port,
    secure,
    requireTLS: !secure && !isHere && login !== undefined,
    tls: { rejectUnauthorized: !isHere && (secure || login !== undefined) },
    connectionTimeout: openMs,
    greetingTimeout: openMs,
    socketTimeout: sendMs,
    socketCloseTimeout: 0,
  };
}
