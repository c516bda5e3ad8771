import { EventEmitter } from 'node:events';
import { beforeEach, expect, it } from '@jest/globals';
import { stopSignal } from './stop-signal.ts';

let source: EventEmitter;
let calls: string[];
let time: number;
let stop: AbortSignal;

beforeEach(() => {
  source = new EventEmitter();
  calls = [];
  time = 1_000;
  const handlers = { first: (signal: string) => calls.push(signal), second: () => calls.push('second') };
  stop = stopSignal(source, handlers, () => time);
});

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('aborts at %s', (signal) => {
  expect(stop.aborted).toBe(false);
  source.emit(signal);
  expect(stop.aborted).toBe(true);
  expect(calls).toEqual([signal]);
});

it('counts a Ctrl-C that comes from the terminal and from npm once', () => {
  source.emit('SIGINT');
  time += 100;
  source.emit('SIGINT');
  expect(calls).toEqual(['SIGINT']);
});

it('calls the second handler for a later signal, even a different one', () => {
  source.emit('SIGTERM');
  time += 1_000;
  source.emit('SIGINT');
  expect(calls).toEqual(['SIGTERM', 'second']);
});
