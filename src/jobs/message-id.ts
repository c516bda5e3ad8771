import { hash } from 'node:crypto';

/** The same for each sending of a job's mail, so that a recipient can recognise a duplicate. It contains no address. */
export function messageIdOf(jobId: string, to: string, item = 0): string {
  const recipient = hash('sha256', to.toLowerCase(), 'hex').slice(0, 16);
  return `${jobId}.${item}.${recipient}@openmusic`;
}
