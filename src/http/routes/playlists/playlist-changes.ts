import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Accounts } from '../../../accounts/accounts.ts';
import type { ResponseCache } from '../../../cache/response-cache.ts';
import type { CachedResponse } from '../../../cache/cache.ts';
import type { CommandOrigin } from '../../../commands/command.ts';
import type { Commands } from '../../../commands/commands.ts';
import { type PlaylistCommand, type PlaylistContext, playlistNotFound } from '../../../commands/playlist.ts';
import { forbidden } from '../../../errors.ts';
import type { Database } from '../../../postgres/pool.ts';
import { findPlaylist } from '../../../projections/playlists.ts';
import { conditionally, expectedVersion } from '../../etag.ts';
import { listAnswer, type ListsOf } from '../../long-answers.ts';
import { markReplay, originOf, type IdempotencyKeys } from '../../origin.ts';
import { streamIds } from '../../stream-ids.ts';

export interface PlaylistDependencies {
  readonly commands: Commands;
  readonly accounts: Accounts;
  readonly database: Database;
  readonly listsOf: ListsOf;
  readonly answers: ResponseCache;
  readonly idempotencyKeys: IdempotencyKeys;
  readonly playlistDuplicates: 'refuse' | 'allow';
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export const common = { tags: ['playlists'], security: [{ bearer: [] }] };

export const streamOf = streamIds('playlist', playlistNotFound);

/** Statuses with which a change of a playlist can fail. */
export const CHANGE_FAILURES = [400, 401, 403, 404, 409, 412, 413, 415, 422, 503] as const;

/** Throws 404 when there is no playlist, and 403 when the account may not read it. */
export function mustBeReader(readers: readonly string[] | undefined, account: string): void {
  if (!readers) throw playlistNotFound();
  if (!readers.includes(account)) throw forbidden('Only the owner of the playlist and its collaborators may do this.');
}

/** The answer with a playlist, the same for all its readers; undefined when there is none. */
export async function representPlaylist(database: Database, id: string): Promise<CachedResponse | undefined> {
  const view = await findPlaylist(database, id);
  if (!view) return undefined;
  const { version, readers, playlist } = view;
  const content = { status: 'success', data: { playlist: { ...playlist, songs: [] } } };
  return { ...listAnswer(content, playlist.songs, version), readers };
}

export interface Change {
  readonly playlistId: string;
  readonly command: PlaylistCommand;
  readonly origin: CommandOrigin;
  /** Reads what the command needs of other streams; nothing by default. */
  readonly context?: () => Promise<PlaylistContext>;
}

/** Sends commands to existing playlists. A 412 has the current ETag, if the sender may read the playlist. */
export function playlistChanges({ commands, database, idempotencyKeys }: PlaylistDependencies) {
  return {
    originOf: (request: FastifyRequest) =>
      originOf(request, idempotencyKeys, (request.body as object | undefined) ?? undefined),
    async change(request: FastifyRequest, reply: FastifyReply, { playlistId, context = nothing, ...sending }: Change) {
      const stream = streamOf(playlistId);
      const sent = commands.playlist({ stream, context, ...sending, expectedVersion: expectedVersion(request) });
      const current = async () => {
        const now = await representPlaylist(database, stream);
        return now?.readers?.includes(sending.origin.actor) ? now : undefined;
      };
      markReplay(reply, await conditionally(reply, sent, current));
    },
  };
}

/** The context of commands that need nothing of other streams. */
export const nothing = () => Promise.resolve({});
