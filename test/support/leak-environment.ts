import { setTimeout as delay } from 'node:timers/promises';
import { TestEnvironment } from 'jest-environment-node';

/** Handles that keep a process alive until they are closed. Files, lookups and pipes of our own output end by themselves. */
const LASTING = ['TCPSocketWrap', 'TCPServerWrap', 'Timeout', 'ProcessWrap', 'UDPWrap', 'MessagePort', 'FSEventWrap'];
/** Closing takes seconds on a machine that does much else. */
const PATIENCE_MS = 10_000;

/**
 * Fails a test file that leaves handles open. Jest alone kills the worker and mentions it, or, in a run of one file, waits
 * for ever. Only here are all hooks of the file over: an `afterAll` of a setup file would run before the file's own.
 */
export default class LeakEnvironment extends TestEnvironment {
  readonly #before = open();
  #hasFailed = false;

  handleTestEvent(event: { name: string; test?: { errors: unknown[] } }): void {
    this.#hasFailed ||=
      event.name === 'hook_failure' || (event.name === 'test_done' && event.test?.errors.length !== 0);
  }

  override async teardown(): Promise<void> {
    const left = await this.#leftOpen();
    await super.teardown();
    // An error here replaces the file's results: those of a failed file are more useful.
    if (left.length > 0 && !this.#hasFailed)
      throw new Error(`The test file left open: ${left.join(', ')}. Close it in afterAll.`);
  }

  async #leftOpen(): Promise<string[]> {
    const deadline = Date.now() + PATIENCE_MS;
    while (opened(this.#before).length > 0 && Date.now() < deadline) await delay(25, undefined, { ref: false });
    return opened(this.#before);
  }
}

const open = () => process.getActiveResourcesInfo().filter((kind) => LASTING.includes(kind));

/** The handles that are open now and were not before. */
function opened(before: string[]): string[] {
  const known = [...before];
  return open().filter((kind) => {
    const index = known.indexOf(kind);
    if (index >= 0) known.splice(index, 1);
    return index < 0;
  });
}
