import { startJobsStack } from '../support/jobs-stack.ts';
import { shareStack } from '../support/shared-stack.ts';
import { whenWorkersAreKilled } from './jobs/killed.ts';
import { whenMailFails } from './jobs/mail.ts';
import { whenTheSchedulerIsKilled } from './jobs/scheduler.ts';

const stack = shareStack(startJobsStack);

for (const suite of [whenMailFails, whenWorkersAreKilled, whenTheSchedulerIsKilled]) suite(stack);
