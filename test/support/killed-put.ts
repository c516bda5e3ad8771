import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';

/** Runs `killed-put-main.ts` until it is dead. */
export async function killDuringPut(
  settings: Readonly<Record<string, string>>,
  args: readonly string[],
): Promise<void> {
  const entry = fileURLToPath(new URL('./killed-put-main.ts', import.meta.url));
  const child = spawn(process.execPath, [entry, ...args], { stdio: 'inherit', env: { ...settings } });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
}
