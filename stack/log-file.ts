import { closeSync, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** A file that a program appends all its output to. */
export interface LogFile {
  readonly descriptor: number;
  /** Where this run's output begins. */
  readonly begin: number;
  close(): void;
}

const MAX_BYTES = 10 * 1024 * 1024;
const TAIL_BYTES = 8 * 1024;

/** Appends to the output of earlier runs, or empties the file first where that is too long. */
export function openLogFile(file: string): LogFile {
  const descriptor = openSync(file, 'a', 0o600);
  if (fstatSync(descriptor).size > MAX_BYTES) ftruncateSync(descriptor);
  return { descriptor, begin: fstatSync(descriptor).size, close: () => closeSync(descriptor) };
}

/** The last lines of a log, none from before `begin`. */
export async function lastLines(file: string, { begin = 0, lines = 5 } = {}): Promise<string> {
  const text = await endOf(file, begin).catch(() => '');
  return text.trim().split('\n').slice(-lines).join('\n') || 'it printed nothing';
}

async function endOf(file: string, begin: number): Promise<string> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const position = Math.max(begin, size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(TAIL_BYTES), position });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
