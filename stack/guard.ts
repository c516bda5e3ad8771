import { spawn } from 'node:child_process';

/** Removes a guard. */
export type Disarm = () => void;

/**
 * Runs a shell command when this process ends without having disarmed the guard, however it ends: a waiting shell sees
 * its input close. An `exit` handler would not run after SIGKILL, nor after SIGTERM, which is how CI ends what is late.
 */
export function guard(command: string): Disarm {
  const shell = spawn('sh', ['-c', `trap '' HUP INT TERM; read -r _; ${command}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  shell.on('error', () => undefined);
  shell.unref();
  const input = shell.stdin as typeof shell.stdin & { unref(): void };
  input.on('error', () => undefined);
  input.unref();
  return () => {
    shell.kill('SIGKILL');
    input.destroy();
  };
}
