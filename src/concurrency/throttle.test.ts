import { expect, test } from '@jest/globals';
import { createThrottle, throttled } from './throttle.ts';

function watched() {
  const lines: string[] = [];
  const clock = { now: 0 };
  const warn = throttled((line) => lines.push(line), { now: () => clock.now });
  return { lines, clock, warn };
}

test('logs a repeated warning every ten seconds, with the number of suppressed ones', () => {
  const { lines, clock, warn } = watched();
  for (; clock.now < 25_000; clock.now += 250) warn('cannot listen: connection refused');
  const again = 'cannot listen: connection refused (and 39 times more before)';
  expect(lines).toEqual(['cannot listen: connection refused', again, again]);
});

test('logs a rare warning without a number', () => {
  const { lines, clock, warn } = watched();
  for (const at of [0, 10_000, 30_000]) {
    clock.now = at;
    warn('late: it took 3 s');
  }
  expect(lines).toEqual(Array(3).fill('late: it took 3 s'));
});

test('treats a warning with another reason as the same one, and logs other warnings at once', () => {
  const { lines, warn } = watched();
  for (const line of ['late: one', 'late: two', 'lost: one', 'lost']) warn(line);
  expect(lines).toEqual(['late: one', 'lost: one']);
});

test('accepts a name for a warning', () => {
  const throttle = createThrottle({ now: () => 0 });
  const messages = ['kafkajs: one', 'kafkajs: two', 'kafkajs: one'];
  expect(messages.map((message) => throttle(message, message))).toEqual(['kafkajs: one', 'kafkajs: two', undefined]);
});

test('remembers a bounded number of warnings', () => {
  const { lines, warn } = watched();
  for (let i = 0; i <= 200; i++) warn(`job-${i} is late`);
  warn('job-200 is late');
  expect(lines).toHaveLength(201);
  warn('job-0 is late');
  expect(lines).toHaveLength(202);
});
