import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';

/** Runs `dying-put.ts` until it is dead. */
export async function dyingPut(settings: Readonly<Record<string, string>>, args: readonly string[]): Promise<void> {
  const entry = fileURLToPath(new URL('./dying-put.ts', import.meta.url));
  const child = spawn(process.execPath, [entry, ...args], { stdio: 'inherit', env: { ...settings } });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
}
