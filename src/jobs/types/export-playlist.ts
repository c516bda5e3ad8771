import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { forbidden, notFound } from '../../errors.ts';
import type { Database } from '../../postgres/pool.ts';
import { playlistAsOf, type PlaylistPosition } from '../../projections/playlist-as-of.ts';
import { opaqueId } from '../../text.ts';
import { JobFailure, type JobType } from '../job-type.ts';
import { addressed, providerName, providerOf } from '../mailing.ts';
import { messageIdOf } from '../message-id.ts';

const payload = z.strictObject({ playlistId: opaqueId(), targetEmail: addressed, provider: providerName });
const parameters = z.object({
  playlistId: z.string(),
  version: z.int(),
  catalog: z.array(z.int()),
  /** The mail waits for no turn while the owner is an admin. */
  byAdmin: z.boolean().default(false),
});
const kept = z.object({ targetEmail: z.string() });

const MEDIA_TYPE = 'application/json';
/** How many contents are remembered, because many ask for the same playlist at the same time. */
const MAX_SHARED = 200;

/** Mails a playlist as it was at the time of the request, and stores the file. */
export const exportPlaylist: JobType<z.output<typeof payload>> = {
  name: 'export-playlist',
  access: 'users',
  usesFiles: true,
  payload,
  backoff: 'exponential',
  async plan({ playlistId, targetEmail, provider }, { caller, isAdmin, positionOf, mail }) {
    const sender = providerOf(provider, mail);
    const position = await positionOf(playlistId);
    if (!position) throw notFound('PLAYLIST_NOT_FOUND', 'There is no such playlist.');
    const { ownerId, ...now } = position;
    if (ownerId !== caller) throw forbidden('Only the owner of the playlist may do this.');
    return { parameters: isAdmin ? { ...now, byAdmin: true } : now, payload: { targetEmail }, provider: sender };
  },
  async work(
    { jobId, ownerId: account, ownerIsAdmin, provider = '', signal, once, ...work },
    { database, files, claim, mailTurn, send },
  ) {
    const { byAdmin, ...position } = parameters.parse(work.parameters);
    const { targetEmail } = kept.parse(work.payload);
    const content = await contentOf(database, position);
    const stored = `exports/${jobId}.json`;
    const name = `${position.playlistId}.json`;
    await claim({ name: stored, account, bytes: content.length });
    await files.put(stored, content, MEDIA_TYPE); // a further attempt writes the same file
    const attachments = [{ name, mediaType: MEDIA_TYPE, content }];
    const body = 'The playlist that you asked for is attached.';
    const mail = {
      messageId: messageIdOf(jobId, targetEmail),
      to: targetEmail,
      subject: 'Your playlist',
      body,
      attachments,
    };
    await once('mail', async () => {
      if (!(byAdmin && ownerIsAdmin)) await mailTurn({ jobId, account, to: targetEmail });
      await send(provider, mail, signal);
    });
    return { file: { stored, name, kind: 'export', mediaType: MEDIA_TYPE, size: content.length } };
  },
};

const contents = new LRUCache<string, Promise<Buffer>>({ max: MAX_SHARED });

/** The file's bytes, made once for all requests of the same position. */
function contentOf(database: Database, position: PlaylistPosition): Promise<Buffer> {
  const key = JSON.stringify(position);
  const shared = contents.get(key);
  if (shared) return shared;
  const made = render(database, position);
  contents.set(key, made);
  made.catch(() => contents.delete(key));
  return made;
}

async function render(database: Database, position: PlaylistPosition): Promise<Buffer> {
  const playlist = await playlistAsOf(database, position);
  if (!playlist) throw new JobFailure('retryable', 'NOT_READY', 'the playlist’s events are not all there yet');
  return Buffer.from(JSON.stringify({ playlist }));
}
