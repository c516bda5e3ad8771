import type autocannon from 'autocannon';

/** Watches that no answer is older than one that had come before it was asked for, over whatever connection. */
export interface VersionWatch {
  /** The requests of one connection, to be sent one after the other, again and again. */
  watched(requests: readonly autocannon.Request[]): autocannon.Request[];
  /** Answers that were older. */
  readonly older: number;
}

export function watchVersions(): VersionWatch {
  /** The newest that has come, by path. */
  const seen = new Map<string, number>();
  let older = 0;

  const newest = (request: autocannon.Request | undefined) => seen.get(request?.path ?? '') ?? 0;

  function watched(requests: readonly autocannon.Request[]): autocannon.Request[] {
    /** What had come of the same path when the request was sent that is under way: right after the answer before. */
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

/** Of its ETag; an answer without one is never older. */
function versionIn({ etag }: { etag?: string } = {}): number {
  return etag === undefined ? Infinity : Number(/^"(\d+)-/.exec(etag)?.[1] ?? NaN);
}
