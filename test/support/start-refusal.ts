import { startProcess } from './processes.ts';

/** The fatal lines of a process that does not start. Throws when it starts, or exits with another code than 1. */
export async function refusalOf(env: Readonly<Record<string, string>>): Promise<string> {
  const output = await startProcess({ env }).then(
    async (started) => {
      await started.end('SIGKILL');
      return 'it has started';
    },
    (error: unknown) => (error as Error).message,
  );
  if (!output.startsWith('main.ts ended with 1:')) throw new Error(output);
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  const parsed = lines.map((line) => JSON.parse(line) as { level: number; msg: string });
  return parsed
    .filter(({ level }) => level === 60)
    .map(({ msg }) => msg)
    .join('\n');
}
