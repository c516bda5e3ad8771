import { inheritedEnvironment } from '../src/config.ts';
import { reasonOf } from '../src/errors.ts';
import { stopSignal } from '../src/stop-signal.ts';
import { type Stack, startStack } from './stack.ts';

/** The exit code: 0 when it was told to stop, 1 when it could not start or a part of it died. */
async function main(): Promise<number> {
  const stop = stopSignal(process, {
    first: (signal) => say(`${signal}: stopping`),
    second: () => process.exit(130), // the guards then end all that was started
  });
  try {
    const stack = await startStack({ environment: inheritedEnvironment(), say, signal: stop });
    introduce(stack);
    const failure = await Promise.race([fired(stop), stack.failure]);
    if (failure) complain(failure);
    await stack.stop();
    return failure ? 1 : 0;
  } catch (error) {
    if (stop.aborted) return 0;
    complain(error);
    return 1;
  }
}

function introduce({ url, directory }: Stack): void {
  say(`OpenMusic is ready: ${url} (API page: ${url}/docs). Its data and logs are in ${directory}.`);
  say('Ctrl-C stops it.');
}

const fired = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

const say = (line: string) => void process.stdout.write(`${line}\n`);
const complain = (error: unknown) => void process.stderr.write(`openmusic: ${reasonOf(error)}\n`);

// Whoever read what we say may be gone before us, as a closed terminal is.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
process.exit(await main());
