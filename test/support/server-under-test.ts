import { startApp } from './app.ts';
import { demanded } from './servers/index.ts';

const named = () => process.env.BASE_URL?.replace(/\/+$/, '');

/** The server that BASE_URL names, or the embedded one that all end-to-end files share: each keeps to its own data. */
export async function serverUnderTest(): Promise<{ readonly url: string }> {
  const url = named();
  return url ? { url } : demanded('app');
}

/** For a file that counts all there is: the server that BASE_URL names, or an embedded one of its own. */
export async function ownServerUnderTest(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const url = named();
  return url ? { url, stop: () => Promise.resolve() } : startApp();
}
