/** SQL for the domain to which the mail of a batch's item goes. */
export const MAIL_DOMAIN = "split_part(lower(payload->>'to'), '@', 2)";

/**
 * SQL condition on a job `q` of the queue and its payload `p`: whether it has a mail to send now to another domain. `domain` is an SQL
 * expression in lower case.
 */
export const mailsOutside = (domain: string): string => `(
  split_part(lower(coalesce(p.payload->>'to', p.payload->>'targetEmail')), '@', 2) <> ${domain}
  OR EXISTS (SELECT FROM job_items WHERE payload_id = q.payload_id AND state = 'waiting' AND next_at <= now() AND ${MAIL_DOMAIN} <> ${domain}))`;
