import { expect, it, jest } from '@jest/globals';
import { prepareOnce } from './command.ts';

it('prepares a command once for all decisions', async () => {
  const prepare = jest.fn(() => Promise.resolve({ type: 'RequestJob' }));
  const command = prepareOnce(prepare);
  expect(await Promise.all([command(), command()])).toEqual([{ type: 'RequestJob' }, { type: 'RequestJob' }]);
  expect(prepare).toHaveBeenCalledTimes(1);
});

it('does not prepare a command again after a failure', async () => {
  const prepare = jest.fn(() => Promise.reject(new Error('no room')));
  const command = prepareOnce(prepare);
  await expect(command()).rejects.toThrow('no room');
  await expect(command()).rejects.toThrow('no room');
  expect(prepare).toHaveBeenCalledTimes(1);
});

it('returns a command that needs no preparation', async () => {
  expect(await prepareOnce({ type: 'DeleteAlbum' })()).toEqual({ type: 'DeleteAlbum' });
});

it('prepares nothing while it is not allowed', async () => {
  const prepare = jest.fn(() => Promise.resolve({ type: 'ChangeCover' }));
  const command = prepareOnce(prepare);
  const refuse = () => {
    throw new Error('another version');
  };
  expect(() => command(refuse)).toThrow('another version');
  expect(prepare).not.toHaveBeenCalled();
  expect(await command(() => undefined)).toEqual({ type: 'ChangeCover' });
  expect(await command(refuse)).toEqual({ type: 'ChangeCover' });
});
