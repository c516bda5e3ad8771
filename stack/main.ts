import { untilAborted } from '../src/concurrency/sleep.ts';
import { inheritedEnvironment } from '../src/config.ts';
import { reasonOf } from '../src/errors.ts';
import { stopSignal } from '../src/stop-signal.ts';
import { type Stack, startStack } from './stack.ts';

/** Runs the stack. Returns the exit code: 0 after a signal to stop, 1 when it could not start or a part of it died. */
async function main(): Promise<number> {
  const stop = stopSignal(process, {
    first: (signal) => say(`${signal}: stopping`),
    second: () => process.exit(130), // the guards then end all that was started
  });
  try {
    const stack = await startStack({ environment: inheritedEnvironment(), say, signal: stop });
    introduce(stack);
    const failure = await Promise.race([untilAborted(stop), stack.failure]);
    if (failure) printError(failure);
    await stack.stop();
    return failure ? 1 : 0;
  } catch (error) {
    if (stop.aborted) return 0;
    printError(error);
    return 1;
  }
}

function introduce({ url, directory }: Stack): void {
  say(`OpenMusic is ready: ${url} (API page: ${url}/docs). Its data and logs are in ${directory}.`);
  say('Ctrl-C stops it.');
}

const say = (line: string) => void process.stdout.write(`${line}\n`);
const printError = (error: unknown) => void process.stderr.write(`openmusic: ${reasonOf(error)}\n`);

// The reader of this output may end first, as a closed terminal does.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
process.exit(await main());
