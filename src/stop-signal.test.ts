import { EventEmitter } from 'node:events';
import { beforeEach, expect, it } from '@jest/globals';
import { stopSignal } from './stop-signal.ts';

let source: EventEmitter;
let said: string[];
let time: number;
let stop: AbortSignal;

beforeEach(() => {
  source = new EventEmitter();
  said = [];
  time = 1_000;
  const handlers = { first: (signal: string) => said.push(signal), second: () => said.push('at once') };
  stop = stopSignal(source, handlers, () => time);
});

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('%s stops', (signal) => {
  expect(stop.aborted).toBe(false);
  source.emit(signal);
  expect(stop.aborted).toBe(true);
  expect(said).toEqual([signal]);
});

it('the same Ctrl-C, told by the terminal and by npm, is one', () => {
  source.emit('SIGINT');
  time += 100;
  source.emit('SIGINT');
  expect(said).toEqual(['SIGINT']);
});

it('a second one is another, whatever was the first', () => {
  source.emit('SIGTERM');
  time += 1_000;
  source.emit('SIGINT');
  expect(said).toEqual(['SIGTERM', 'at once']);
});
