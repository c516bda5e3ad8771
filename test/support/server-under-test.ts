import { startApp } from './app.ts';
import { demanded } from './servers/index.ts';

const named = () => process.env.BASE_URL?.replace(/\/+$/, '');

/** The server of BASE_URL, or the embedded one that all end-to-end files share: each uses only its own data. */
export async function serverUnderTest(): Promise<{ readonly url: string }> {
  const url = named();
  return url ? { url } : demanded('app');
}

/** For a file that counts everything: the server of BASE_URL, or an embedded one of its own. */
export async function ownServerUnderTest(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const url = named();
  return url ? { url, stop: () => Promise.resolve() } : startApp();
}
