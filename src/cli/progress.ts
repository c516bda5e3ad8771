const EVERY_MS = 1_000;

/** Shows on stderr how far a command has come, once a second: on a terminal in one line, elsewhere in lines of their own. */
export function showProgress(what: string): (done: number, total: number) => void {
  const began = performance.now();
  let shownAt = began;
  return (done, total) => {
    const now = performance.now();
    if (now - shownAt < EVERY_MS) return;
    shownAt = now;
    const rate = Math.round(done / ((now - began) / 1_000));
    const left = Math.ceil((total - done) / Math.max(1, rate));
    const text = `${what}: ${done} of ${total} (${Math.floor((100 * done) / Math.max(1, total))} %), ${rate}/s, ${left} s left`;
    process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${text}${done < total ? '' : '\n'}` : `${text}\n`);
  };
}
