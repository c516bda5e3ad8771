import { hash } from 'node:crypto';

/** The same for the same mail of a job, however often it is sent: whoever gets it twice can tell. Holds no address. */
export function messageIdOf(jobId: string, to: string, item = 0): string {
  const recipient = hash('sha256', to.toLowerCase(), 'hex').slice(0, 16);
  return `${jobId}.${item}.${recipient}@openmusic`;
}
