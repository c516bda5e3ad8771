import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { playlistNotFound, versionNotFound } from '../../../commands/playlist.ts';
import {
  type PlaylistSnapshot,
  snapshotOf,
  songsOfSnapshot,
  type VersionName,
  visibleVersions,
} from '../../../projections/playlist-history.ts';
import { findPlaylistHead, type PlaylistHead } from '../../../projections/playlists.ts';
import { callerOf } from '../../auth.ts';
import { inPieces } from '../../long-answers.ts';
import { mustBeReader, type PlaylistDependencies, streamOf } from './playlist-changes.ts';

/** For the API documentation. */
export const PAST =
  'With `version` or `at` it is the playlist as it was then, with its `version` and `time`, and without an ETag. Songs have ' +
  'the titles of today; those that were deleted since are shown with their last ones. Collaborators see the versions of their own time.';

const MAX_VERSION = 999_999_999_999_999;
const versionFault = 'must be a whole number from 1';

/** A version of a playlist. A number that no version can have is one that does not exist. */
export const versionQuery = z
  .string()
  .regex(/^[1-9]\d{0,14}$/, versionFault)
  .transform(Number)
  .meta({ description: 'Version of the playlist.', type: 'integer', minimum: 1, maximum: MAX_VERSION });

/** Longer than any time with a zone and a sensible fraction of a second. */
const TIME_LENGTH = 64;

/** Later years have another form, which is not ordered as text. */
const LAST_TIME = Date.UTC(9999, 11, 31);

const timeQuery = z.iso
  .datetime({ offset: true, error: 'must be an ISO 8601 time with a zone, such as 2026-07-01T12:00:00Z' })
  .max(TIME_LENGTH)
  .transform((text) => new Date(Math.min(Date.parse(text), LAST_TIME)).toISOString())
  .meta({
    description: 'A time with its zone: the version that was current then.',
    type: 'string',
    format: 'date-time',
    maxLength: TIME_LENGTH,
  });

export const pastQuery = z
  .object({ version: versionQuery.optional(), at: timeQuery.optional() })
  .refine(({ version, at }) => version === undefined || at === undefined, {
    error: 'cannot be given together with version',
    path: ['at'],
  });

/** Undefined for the playlist as it is now. */
export function versionNameOf({ version, at }: z.infer<typeof pastQuery>): VersionName | undefined {
  if (version !== undefined) return { version };
  return at === undefined ? undefined : { at };
}

/**
 * Finds the playlist of a request, and reads versions that its sender may see: 404 without the playlist or the version, 403 without
 * access to the playlist.
 */
export async function openHistory(
  { database, listsOf }: PlaylistDependencies,
  request: ParamsRequest,
  reply: FastifyReply,
) {
  const account = callerOf(request);
  const head = await findPlaylistHead(database, streamOf(request.params.id));
  mustBeReader(head?.readers, account);
  if (!head) throw playlistNotFound();
  const lists = listsOf(reply);
  const read = { query: lists.first };
  const spans = await visibleVersions(read, head, account);
  return {
    head,
    lists,
    spans,
    isOwner: account === head.ownerId,
    async at(name: VersionName): Promise<PlaylistSnapshot> {
      const snapshot = await snapshotOf(read, head.id, spans, name);
      if (!snapshot) throw versionNotFound();
      return snapshot;
    },
  };
}

type ParamsRequest = FastifyRequest & { readonly params: { readonly id: string } };

/** Sends a playlist as it was. Nothing of it is cached. */
export const pastPlaylists =
  (deps: PlaylistDependencies) =>
  async (request: ParamsRequest, reply: FastifyReply, name: VersionName): Promise<void> => {
    const { head, lists, at } = await openHistory(deps, request, reply);
    const snapshot = await at(name);
    reply.header('x-data-source', 'database');
    return reply.sendInPieces(inPieces({ content: contentOf(head, snapshot), list: songsOfSnapshot(lists, snapshot) }));
  };

const contentOf = ({ id, username }: PlaylistHead, { name, version, time }: PlaylistSnapshot) => ({
  status: 'success',
  data: { playlist: { id, name, username, version, time, songs: [] } },
});
