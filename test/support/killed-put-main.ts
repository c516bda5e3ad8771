import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/**
 * Stores a file and kills itself on the way: `killed-put-main.ts NAME POINT [FILE]`, where the point is `half-written`,
 * `before-rename`, `after-rename` or `half-read`. The environment configures the provider.
 */
const [name = '', point, file] = process.argv.slice(2);
const { open, rename } = fs.promises;
const { createReadStream } = fs;

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
  case 'half-read':
    fs.createReadStream = (from, options) => {
      const stream = createReadStream(from, options);
      const half = fs.statSync(from).size / 2;
      const read = stream._read.bind(stream);
      stream._read = (size) => (stream.bytesRead < half ? read(size) : void die());
      return stream;
    };
    break;
  default:
    throw new Error('tell me where to die');
}
syncBuiltinESMExports();

const { loadConfig } = await import('../../src/config.ts');
const { openFiles } = await import('../../src/providers/files/providers.ts');
const files = await openFiles(loadConfig(process.env, '/nowhere'));
if (file === undefined) await files.put(name, Buffer.alloc(100_000, 7), 'image/png');
else await files.putFile(name, file, 'image/png');
