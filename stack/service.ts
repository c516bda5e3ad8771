import type { Stoppable } from '../src/lifecycle.ts';

/** A part of the stack: a process that serves at an address. */
export interface Service extends Stoppable {
  readonly name: string;
  readonly address: string;
  readonly pid: number;
  /** The file with its output. */
  readonly log: string;
  /** How it ended, once it has. */
  readonly ended: Promise<string>;
  lastLines(): Promise<string>;
}
