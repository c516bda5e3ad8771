import { beforeEach, describe, expect, it } from '@jest/globals';
import { seedOfRun, type Settings } from '../../support/distributed.ts';
import { type JobsApp, SHORT_LEASE } from '../../support/jobs-faults.ts';
import type { JobsStack } from '../../support/jobs-stack.ts';
import {
  begin,
  beginAll,
  breakerOf,
  codesOf,
  itemsOf,
  mailsTo,
  untilJob,
  untilOver,
} from '../../support/jobs-client.ts';
import { eventually } from '../../support/observed.ts';
import { within } from '../../support/servers/waiting.ts';
import type { SharedStack } from '../../support/shared-stack.ts';
import type { Conduct, TestSmtpServer } from '../../support/smtp-server.ts';

/** How long the breaker of a failing provider stays open. */
const OPEN_SECONDS = 0.1;
const SETTINGS: Settings = {
  WORKER_CONCURRENCY: '20',
  JOB_ATTEMPTS: '30',
  BREAKER_OPEN_SECONDS: String(OPEN_SECONDS),
  // The timeout when the server hangs.
  SMTP_CONNECTIONS: '1',
  SMTP_OPEN_SECONDS: '2',
  SMTP_SEND_SECONDS: '3',
};
/** A refused recipient is retried once after these delays. */
const RETRY_SECONDS = 8;
const ONE_ATTEMPT = { ...SETTINGS, JOB_ATTEMPTS: '1', MAIL_RETRY_HOURS: String(RETRY_SECONDS / 3_600) };
const FEW_ATTEMPTS = { ...SETTINGS, JOB_ATTEMPTS: '3' };
/** Failed calls after which the breaker opens. */
const FAILURES = 10;
/** Or half of this many calls. */
const LAST_CALLS = 20;
/** More than the maximum number of attempts. */
const TRIALS = 6;
const WITHIN_MS = 60_000;
const TIME_MS = 180_000;

export function whenMailFails(stack: SharedStack<JobsStack>): void {
  describe('a mail server with faults', () => {
    let app: JobsApp;
    let smtp: TestSmtpServer;
    let newAddresses: JobsStack['newAddresses'];
    stack.use((shared) => ({ app, smtp, newAddresses } = shared));
    beforeEach(() => app.runWith(SETTINGS), TIME_MS);

    const sentTo = (address: string) => smtp.mails.filter(({ to }) => to.includes(address));

    const passing: [string, Conduct, string][] = [
      ['refuses', { does: 'refuses' }, 'MAIL_UNREACHABLE'],
      ['answers 421 to every connection', { does: 'answers', at: 'connect', code: 421 }, 'MAIL_REFUSED_FOR_NOW'],
      ['answers 451 to the sender', { does: 'answers', at: 'mail', code: 451 }, 'MAIL_REFUSED_FOR_NOW'],
      ['answers 421 to a mail', { does: 'answers', at: 'data', code: 421 }, 'MAIL_REFUSED_FOR_NOW'],
      ['hangs before its greeting', { does: 'hangs', at: 'connect' }, 'MAIL_TIMEOUT'],
      ['hangs after it received a mail', { does: 'hangs', at: 'data' }, 'MAIL_TIMEOUT'],
      ['trickles', { does: 'trickles', at: 'data', everyMs: 200 }, 'MAIL_TIMEOUT'],
    ];

    /** Waits for this many more calls to the server. */
    async function untilTried(times: number): Promise<void> {
      const enough = smtp.answered + times;
      await eventually(`it is tried ${times} times`, () => smtp.answered >= enough, WITHIN_MS);
    }

    it.each(passing)(
      '%s: retries the mail, and sends it when the server recovers',
      async (_, conduct, code) => {
        const [address = ''] = newAddresses(1);
        await smtp.behave(conduct);
        smtp.cutAll(); // closes the open connections
        const [id = ''] = await beginAll(app.admin, '/messages', mailsTo([address]));
        await untilJob(app.admin, id, 'has failed', (job) => codesOf(job).includes(code), WITHIN_MS);
        await smtp.behave({ does: 'well' });
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        expect(job?.state).toBe('succeeded');
        expect(sentTo(address)).toHaveLength(1);
      },
      TIME_MS,
    );

    it(
      'cuts the connection after it accepted a mail: retries with the same Message-ID',
      async () => {
        const [address = ''] = newAddresses(1);
        await smtp.behave({ does: 'cuts', at: 'data' });
        const [id = ''] = await beginAll(app.admin, '/messages', mailsTo([address]));
        await eventually('the mail is taken', () => sentTo(address).length > 0);
        await smtp.behave({ does: 'well' });
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        const failures = codesOf(job!).filter((code) => code === 'MAIL_UNREACHABLE').length;
        expect([job?.state, sentTo(address).length]).toEqual(['succeeded', failures + 1]);
        expect(new Set(sentTo(address).map(({ messageId }) => messageId)).size).toBe(1);
      },
      TIME_MS,
    );

    it(
      'answers 550: the job is dead at once, and others are not delayed by it',
      async () => {
        const [bad, good] = [newAddresses(FAILURES + 2, 'bad'), newAddresses(2)];
        const only = (recipient: string) => recipient.startsWith('bad');
        await smtp.behave({ does: 'answers', at: 'rcpt', code: 550, only });
        const dead = await untilOver(app.admin, await beginAll(app.admin, '/messages', mailsTo(bad)), WITHIN_MS);
        expect(dead.map((job) => [job.state, codesOf(job)])).toEqual(bad.map(() => ['dead', ['MAIL_REFUSED']]));
        expect(JSON.stringify(dead)).not.toContain('@');
        expect(await breakerOf(app.admin, 'smtp')).toBe('closed');
        const jobs = await untilOver(app.admin, await beginAll(app.admin, '/messages', mailsTo(good)), WITHIN_MS);
        expect(jobs.map((job) => [job.state, job.attempts.length])).toEqual(good.map(() => ['succeeded', 1]));
      },
      TIME_MS,
    );

    it.each([
      [450, undefined],
      [451, '4.7.1 greylisted for 300 s'],
      [452, '4.2.2 mailbox full'],
    ])(
      'answers %d to a recipient: uses no attempt, and sends the mail in time, even if the worker is killed meanwhile',
      async (code, text) => {
        await app.runWith(ONE_ATTEMPT);
        const [address = ''] = newAddresses(1);
        await smtp.behave({ does: 'answers', at: 'rcpt', code, text });
        const id = await begin(app.admin, '/messages', mailsTo([address])[0]!);
        await untilJob(app.admin, id, 'is put off', ({ state }) => state === 'failed-retrying', WITHIN_MS);
        await smtp.behave({ does: 'well' });
        await app.replace(ONE_ATTEMPT);
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        expect([job?.state, codesOf(job!)]).toEqual(['succeeded', ['MAIL_DEFERRED', undefined]]);
        const [first, second] = job!.attempts.map(({ startedAt }) => Date.parse(startedAt));
        expect(second! - first!).toBeGreaterThanOrEqual(RETRY_SECONDS * 900);
        expect(sentTo(address)).toHaveLength(1);
      },
      TIME_MS,
    );

    it(
      'answers 452 to some recipients: does not delay others, and fails those when it lasts too long',
      async () => {
        await app.runWith(ONE_ATTEMPT);
        const [full, good] = [newAddresses(FAILURES + 2, 'full'), newAddresses(2)];
        const only = (recipient: string) => recipient.startsWith('full');
        await smtp.behave({ does: 'answers', at: 'rcpt', code: 452, only });
        const refused = await beginAll(app.admin, '/messages', mailsTo(full));
        const jobs = await untilOver(app.admin, await beginAll(app.admin, '/messages', mailsTo(good)), WITHIN_MS);
        expect(jobs.map((job) => [job.state, job.attempts.length])).toEqual(good.map(() => ['succeeded', 1]));
        const dead = await untilOver(app.admin, refused, WITHIN_MS);
        const codes = ['MAIL_DEFERRED', 'MAIL_DEFERRED'];
        expect(dead.map((job) => [job.state, codesOf(job)])).toEqual(full.map(() => ['dead', codes]));
        expect(await breakerOf(app.admin, 'smtp')).toBe('closed');
      },
      TIME_MS,
    );

    it(
      'answers 451 to some recipients of a batch: sends the others at once, and to each recipient once in the end',
      async () => {
        await app.runWith(ONE_ATTEMPT);
        const addresses = [...newAddresses(20, 'grey'), ...newAddresses(20)];
        const only = (recipient: string) => recipient.startsWith('grey');
        await smtp.behave({ does: 'answers', at: 'rcpt', code: 451, only });
        const id = await begin(app.admin, '/messages/batch', { items: mailsTo(addresses) });
        await eventually('the others are sent', () => addresses.filter((to) => sentTo(to).length > 0).length === 20);
        await smtp.behave({ does: 'well' });
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        expect([job?.state, job?.progress]).toEqual(['succeeded', { total: 40, done: 40, failed: 0 }]);
        expect(addresses.map((address) => sentTo(address).length)).toEqual(addresses.map(() => 1));
      },
      TIME_MS,
    );

    it(
      'keeps failing for 20 times the breaker’s pause: gets few calls, other jobs complete, no mail is lost',
      async () => {
        const addresses = newAddresses(12);
        await untilOver(
          app.admin,
          await beginAll(app.admin, '/messages', mailsTo(newAddresses(LAST_CALLS))),
          WITHIN_MS,
        );
        await smtp.behave({ does: 'answers', at: 'mail', code: 451 });
        const began = Date.now();
        const ids = await beginAll(app.admin, '/messages', mailsTo(addresses));
        await eventually('the breaker is open', async () => (await breakerOf(app.admin, 'smtp')) !== 'closed');
        const others = ['dummy', 'dummy', 'report'].map((type) => ({ type }));
        const done = await untilOver(app.admin, await beginAll(app.admin, '/jobs', others), 10_000);
        expect(done.map((job) => [job.state, job.attempts.length])).toEqual(others.map(() => ['succeeded', 1]));
        await untilTried(TRIALS);
        await smtp.behave({ does: 'well' });
        const lastedSeconds = (Date.now() - began) / 1_000;
        expect(lastedSeconds).toBeGreaterThan(20 * OPEN_SECONDS);
        const jobs = await untilOver(app.admin, ids, WITHIN_MS);
        expect(jobs.filter(({ state }) => state !== 'succeeded')).toEqual([]);
        expect(addresses.map((address) => sentTo(address).length)).toEqual(addresses.map(() => 1));
        const calls = jobs.flatMap(codesOf).filter((code) => code === 'MAIL_REFUSED_FOR_NOW').length;
        const halfOpenCalls = Math.ceil(lastedSeconds / OPEN_SECONDS);
        expect(calls).toBeLessThanOrEqual(FAILURES + halfOpenCalls);
        expect(calls).toBeGreaterThanOrEqual(FAILURES);
        expect(await breakerOf(app.admin, 'smtp')).toBe('closed');
      },
      TIME_MS,
    );

    it(
      'fails longer than all attempts: gives up no mail while the breaker is open',
      async () => {
        await app.runWith(FEW_ATTEMPTS);
        const addresses = newAddresses(FAILURES + 2);
        await smtp.behave({ does: 'answers', at: 'mail', code: 451 });
        const ids = await beginAll(app.admin, '/messages', mailsTo(addresses));
        await eventually('the breaker is open', async () => (await breakerOf(app.admin, 'smtp')) !== 'closed');
        await untilTried(TRIALS);
        await smtp.behave({ does: 'well' });
        const jobs = await untilOver(app.admin, ids, WITHIN_MS);
        expect(jobs.filter(({ state }) => state !== 'succeeded')).toEqual([]);
        expect(addresses.map((address) => sentTo(address).length)).toEqual(addresses.map(() => 1));
      },
      TIME_MS,
    );

    it(
      'fails as often as configured: opens the breaker, even though failures are rare',
      async () => {
        await app.runWith({ ...FEW_ATTEMPTS, BREAKER_WINDOW: '2', BREAKER_MIN_CALLS: '2', BREAKER_SHARE: '1' });
        await smtp.behave({ does: 'answers', at: 'mail', code: 451 });
        const [address = ''] = newAddresses(1);
        const id = await begin(app.admin, '/messages', mailsTo([address])[0]!);
        await eventually('the breaker is open', async () => (await breakerOf(app.admin, 'smtp')) !== 'closed');
        await smtp.behave({ does: 'well' });
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        expect([job?.state, sentTo(address).length]).toEqual(['succeeded', 1]);
      },
      TIME_MS,
    );

    it(
      'fails every attempt before the breaker opens: the job is dead, and every failure is listed',
      async () => {
        await app.runWith(FEW_ATTEMPTS);
        await smtp.behave({ does: 'answers', at: 'mail', code: 450 });
        const id = await begin(app.admin, '/messages', mailsTo(newAddresses(1))[0]!);
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        expect([job?.state, codesOf(job!)]).toEqual(['dead', Array<string>(3).fill('MAIL_REFUSED_FOR_NOW')]);
      },
      TIME_MS,
    );

    it(
      'refuses some mails of a batch: sends the others once each, even if the worker is killed in the middle',
      async () => {
        const seed = seedOfRun();
        const nth = 10 + (seed % 40);
        process.stdout.write(`SEED=${seed}: SIGKILL after mail ${nth}\n`);
        await app.replace({ ...FEW_ATTEMPTS, ...SHORT_LEASE, FAULT: `after-mail:${nth}` });
        const [good, bad] = [newAddresses(60), newAddresses(6, 'bad')];
        const addresses = good.flatMap((address, index) => [address, ...(index % 10 === 0 ? [bad[index / 10]!] : [])]);
        const only = (recipient: string) => recipient.startsWith('bad');
        await smtp.behave({ does: 'answers', at: 'rcpt', code: 550, only });
        const id = await begin(app.admin, '/messages/batch', { items: mailsTo(addresses) });
        expect(await within(WITHIN_MS, 'to die', app.process().ended)).toBe('SIGKILL');
        const before = smtp.mails.length;
        await app.runWith(SETTINGS);
        const [job] = await untilOver(app.admin, [id], WITHIN_MS);
        expect([job?.state, job?.progress]).toEqual(['succeeded', { total: 66, done: 60, failed: 6 }]);
        const items = await itemsOf(app.admin, id);
        expect(items.map(({ state }) => state)).toEqual(addresses.map((to) => (only(to) ? 'failed' : 'done')));
        expect(items.filter(({ state, attempts }) => state === 'failed' && attempts > 1)).toEqual([]);
        const sent = good.map(sentTo);
        const twice = sent.filter(({ length }) => length > 1);
        expect(sent.filter(({ length }) => length === 0)).toEqual([]);
        // One connection delivers one mail after the other; the last answer was not yet stored.
        const window = smtp.mails.slice(before - IN_WINDOW, before).map(({ messageId }) => messageId);
        expect(twice.length).toBeLessThanOrEqual(IN_WINDOW);
        expect(twice.every(([one, other]) => one!.messageId === other!.messageId && window.includes(one!.messageId))).toBe(true); // prettier-ignore
      },
      TIME_MS,
    );
  });
}

/** Answers that were not yet in the tables when the process was killed; mostly one. */
const IN_WINDOW = 4;
