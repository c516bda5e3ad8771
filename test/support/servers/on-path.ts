import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether the PATH has a command; starts nothing. */
export function onPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => isExecutable(join(folder, command)));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
