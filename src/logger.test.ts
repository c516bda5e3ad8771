import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { eventually } from '../test/support/observed.ts';
import { openLogger } from './logger.ts';

let file: string;
let to: number;
beforeEach(() => {
  file = path.join(tmpdir(), `openmusic-logger-${process.pid}-${Date.now()}`);
  to = openSync(file, 'w');
});
afterEach(() => {
  closeSync(to);
  rmSync(file);
});

it('writes JSON to a file or a pipe', async () => {
  const logger = await openLogger('info', { to });
  logger.info({ port: 9000 }, 'listening');
  logger.debug('too much');
  await eventually('the line is written', () => readFileSync(file, 'utf8') !== '');
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
    level: 30,
    time: expect.any(Number),
    port: 9000,
    msg: 'listening',
  });
});

it('writes one readable line to a terminal', async () => {
  const logger = await openLogger('info', { to, isTerminal: true });
  logger.info({ port: 9000 }, 'listening');
  expect(readFileSync(file, 'utf8')).toMatch(/^\[\d\d:\d\d:\d\d\] INFO: listening \{"port":9000\}\n$/);
});
