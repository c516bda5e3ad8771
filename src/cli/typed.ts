import { createInterface } from 'node:readline';
import type { Output } from './print.ts';

export interface Question {
  readonly text: string;
  /** The answer that a script has given by `flag`. */
  readonly given: string | undefined;
  readonly flag: string;
}

/**
 * Returns what the operator types; empty when the input ends first. Undefined when there is no terminal and nothing was given: the
 * command must change nothing then.
 */
export async function typed({ text, given, flag }: Question, print: Output): Promise<string | undefined> {
  print(text);
  if (given !== undefined) {
    print(`> ${given}`);
    return given.trim();
  }
  if (process.stdin.isTTY) return (await readLine()).trim();
  print(`There is no terminal to type it at: give it by ${flag}.`);
  return undefined;
}

function readLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin });
  return new Promise((resolve) => {
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('close', () => resolve(''));
  });
}
