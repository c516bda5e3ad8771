import type { Reply } from './processes.ts';

/** Makes this process answer the messages of its parent, and end with it. */
export function answerQuestions(answer: (message: never) => Promise<unknown>): void {
  process.once('disconnect', () => process.exit(1));
  process.on('message', (message) => {
    answer(message as never).then(
      (given) => reply({ answer: given }),
      (error: unknown) => reply({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
}

const reply = (message: Reply) => void process.send?.(message);
