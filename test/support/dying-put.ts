import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/**
 * Puts a file and kills itself on the way: `dying-put.ts DIRECTORY NAME POINT`, where the point is `half-written`,
 * `before-rename` or `after-rename`.
 */
const [directory = '', name = '', point] = process.argv.slice(2);
const { open, rename } = fs.promises;

function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
}

switch (point) {
  case 'half-written':
    fs.promises.open = async (...args) => {
      const handle = await open(...args);
      handle.writeFile = async (data) => {
        const bytes = data as Buffer;
        await handle.write(bytes, 0, bytes.length / 2);
        return die();
      };
      return handle;
    };
    break;
  case 'before-rename':
    fs.promises.rename = die;
    break;
  case 'after-rename':
    fs.promises.rename = async (...args) => {
      await rename(...args);
      return die();
    };
    break;
  default:
    throw new Error('tell me where to die');
}
syncBuiltinESMExports();

const { openDiskFiles } = await import('../../src/providers/files/disk.ts');
await (await openDiskFiles(directory)).put(name, Buffer.alloc(100_000, 7), 'image/png');
