import { type LoadResult, measure, type Meter, type Window } from './meter.ts';

/** Sends requests at fixed times, however long earlier answers take. */
export interface PacedLoad extends Window {
  readonly kind: 'paced';
  readonly url: string;
  readonly perSecond: number;
  /** Sent in turn. */
  readonly posts: readonly PacedPost[];
}

export interface PacedPost {
  readonly path: string;
  readonly body: object;
  readonly token?: string;
}

const LOOK_EVERY_MS = 1;

/** The time of a request counts from when it was due. */
export const loadPaced = (load: PacedLoad): Promise<LoadResult> => measure(load, (meter) => pace(load, meter));

function pace({ url, perSecond, posts }: PacedLoad, meter: Meter): () => Promise<void> {
  const began = performance.now();
  const underWay = new Set<Promise<void>>();
  let sent = 0;
  const dueAt = () => began + (sent * 1_000) / perSecond;

  function look(): void {
    for (; dueAt() <= performance.now(); sent++) {
      const post = posts[sent % posts.length];
      if (!post) continue;
      const done = send(url, post, dueAt(), meter);
      underWay.add(done);
      void done.finally(() => underWay.delete(done));
    }
  }
  const timer = setInterval(look, LOOK_EVERY_MS);
  return async () => {
    clearInterval(timer);
    await Promise.all(underWay);
  };
}

async function send(url: string, { path, body, token }: PacedPost, dueAt: number, meter: Meter): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  try {
    const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    await response.text();
    if (response.ok) meter.done(performance.now() - dueAt);
    else meter.failed();
  } catch {
    meter.failed();
  }
}
