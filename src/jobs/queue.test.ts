import { describe, expect, it } from '@jest/globals';
import { repeatOf, requestOf, SCOPES } from '../../test/support/jobs.ts';
import { laneOf } from './queue.ts';

const repeat = repeatOf('0 9 * * *', 'UTC', '2030-01-01T09:00:00.000Z');

describe('each job belongs to one group', () => {
  it.each([
    ['export-playlist', null, 'exporter'],
    ['dummy', null, 'worker'],
    ['email', null, 'worker'],
    ['of tomorrow', null, 'worker'],
    ['email', repeat, 'scheduler'],
    ['export-playlist', repeat, 'scheduler'],
  ])('%s, repeating: %j', (jobType, when, group) => {
    const request = requestOf({ jobType, repeat: when });
    expect(SCOPES.filter(({ holds }) => holds(request)).map((scope) => scope.group)).toEqual([group]);
  });
});

it('a lane consists of a type and a provider', () => {
  const lanes = [laneOf('email', 'smtp'), laneOf('email', 'file'), laneOf('email', null), laneOf('email', undefined)];
  expect(lanes).toEqual(['email:smtp', 'email:file', 'email', 'email']);
});
