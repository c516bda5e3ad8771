import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether a PATH has a command; starts nothing. */
export function onPath(command: string, path = ''): boolean {
  return path.split(delimiter).some((folder) => isExecutable(join(folder, command)));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
