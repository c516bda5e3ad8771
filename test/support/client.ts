/** A complete answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Undefined when the body is not a JSON object. */
  readonly body: AnswerBody | undefined;
}

/** Every field that any answer has. */
export interface AnswerBody {
  readonly status: 'success' | 'fail' | 'error';
  readonly message?: string;
  readonly code?: string;
  readonly requestId?: string;
  readonly errors?: readonly { path: string; message: string }[];
  readonly data?: {
    readonly albumId?: string;
    readonly songId?: string;
    readonly album?: Album;
    readonly song?: Song;
    readonly songs?: SongSummary[];
    readonly nextCursor?: string | null;
    readonly userId?: string;
    readonly accessToken?: string;
    readonly refreshToken?: string;
    readonly playlistId?: string;
    readonly playlist?: Playlist;
    readonly playlists?: PlaylistSummary[];
    readonly activities?: Activity[];
    readonly versions?: PlaylistVersion[];
    readonly collaborationId?: string;
    readonly likes?: number;
    readonly jobId?: string;
    readonly job?: Job;
    readonly jobs?: Job[];
    readonly items?: JobItem[];
    readonly files?: FileSummary[];
    readonly url?: string;
    readonly expiresAt?: string;
    readonly deadLetters?: Job[];
    readonly deadLetter?: Job & { parameters: object; payload: unknown; ownerId: string };
    readonly outcomes?: { jobId: string; redriven: boolean; code?: string }[];
  };
}

export interface Job {
  id: string;
  type: string;
  state: string;
  progress: { done: number; total: number; failed: number };
  attempts: { startedAt: string; finishedAt: string | null; error?: { code: string; message: string } }[];
  createdAt: string;
  deliverAt?: string;
  finishedAt?: string;
  parentId?: string;
  replaces?: string;
  repeat?: { cron: string; timeZone: string; missed: string; until?: string; count?: number };
  result?: { fileId?: string };
}

export interface JobItem {
  item: number;
  state: string;
  to?: string;
  error?: string;
}

/** Fields of a list, or of a check. */
export interface FileSummary {
  fileId: string;
  kind?: string;
  name?: string;
  size?: number;
  jobId?: string;
  available?: boolean;
  reason?: string;
}

export interface SongSummary {
  id: string;
  title: string;
  performer: string;
}

export interface Album {
  id: string;
  name: string;
  year: number;
  coverUrl: string | null;
  songs: SongSummary[];
}

export interface Song extends SongSummary {
  year: number;
  genre: string;
  duration: number | null;
  albumId: string | null;
}

export interface PlaylistSummary {
  id: string;
  name: string;
  username: string;
}

export interface Playlist extends PlaylistSummary {
  version?: number;
  time?: string;
  songs: SongSummary[];
}

export interface PlaylistVersion {
  version: number;
  time: string;
  actor: { id: string; username: string };
  type: string;
}

export interface Activity {
  username: string;
  title: string;
  action: 'add' | 'delete' | 'restore' | 'undelete';
  time: string;
}

export interface RequestOptions {
  /** Sent as JSON. */
  json?: unknown;
  /** Sent unchanged. */
  raw?: string | Uint8Array<ArrayBuffer> | FormData;
  headers?: Record<string, string>;
}

export type Client = ReturnType<typeof createClient>;

/** Sends requests to one server, as the user of the access token. */
export function createClient(base: string, accessToken?: string) {
  const authorization: Record<string, string> =
    accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` };

  async function send(method: string, path: string, { json, raw, headers }: RequestOptions = {}): Promise<Answer> {
    const declared: Record<string, string> = json === undefined ? {} : { 'content-type': 'application/json' };
    const body = json === undefined ? raw : JSON.stringify(json);
    const answer = await fetch(base + path, { method, body, headers: { ...declared, ...authorization, ...headers } });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, body: parsed(text) };
  }

  return {
    base,
    send,
    get: (path: string, headers?: Record<string, string>) => send('GET', path, { headers }),
    post: (path: string, json?: unknown, headers?: Record<string, string>) => send('POST', path, { json, headers }),
    put: (path: string, json?: unknown, headers?: Record<string, string>) => send('PUT', path, { json, headers }),
    patch: (path: string, json?: unknown, headers?: Record<string, string>) => send('PATCH', path, { json, headers }),
    delete: (path: string, headers?: Record<string, string>, json?: unknown) => send('DELETE', path, { json, headers }),
  };
}

function parsed(text: string): AnswerBody | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as AnswerBody) : undefined;
  } catch {
    return undefined;
  }
}
