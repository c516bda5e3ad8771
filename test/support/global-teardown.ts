const PATIENCE_MS = 10_000;

export default async function globalTeardown(): Promise<void> {
  try {
    await globalThis.stopTestServers?.();
  } finally {
    watchForTheEnd();
  }
}

/**
 * Jest waits for ever for a handle that a test left open in this process. This timer does not keep the process alive by
 * itself.
 */
function watchForTheEnd(): void {
  const cut = () => {
    process.stderr.write(`Tests left open: ${process.getActiveResourcesInfo().join(', ')}\n`);
    process.exit(1);
  };
  setTimeout(cut, PATIENCE_MS).unref();
}
