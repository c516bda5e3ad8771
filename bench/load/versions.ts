import type autocannon from 'autocannon';

/** Checks that no answer is older than one that came before its request, over any connection. */
export interface VersionWatch {
  /** The requests of one connection, to be sent one after the other, again and again. */
  watched(requests: readonly autocannon.Request[]): autocannon.Request[];
  /** Answers that were older. */
  readonly older: number;
}

export function watchVersions(): VersionWatch {
  /** The newest version received, by path. */
  const seen = new Map<string, number>();
  let older = 0;

  const newest = (request: autocannon.Request | undefined) => seen.get(request?.path ?? '') ?? 0;

  function watched(requests: readonly autocannon.Request[]): autocannon.Request[] {
    /** The newest version of the same path when the current request was sent, which is right after the answer before. */
    let floor = 0;
    return requests.map((request, index) => ({
      ...request,
      onResponse(_status: number, _body: string, _context: object, headers: autocannon.Request['headers']) {
        const version = versionIn(headers);
        if (version < floor) older++;
        seen.set(request.path ?? '', Math.max(version, newest(request)));
        floor = newest(requests[(index + 1) % requests.length]);
      },
    }));
  }

  return {
    watched,
    get older() {
      return older;
    },
  };
}

/** The version in its ETag; an answer without one is never older. */
function versionIn({ etag }: { etag?: string } = {}): number {
  return etag === undefined ? Infinity : Number(/^"(\d+)-/.exec(etag)?.[1] ?? NaN);
}
