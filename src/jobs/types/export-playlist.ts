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
  /** Its mail waits for no turn while its owner is an admin. */
  byAdmin: z.boolean().default(false),
});
const kept = z.object({ targetEmail: z.string() });

const MEDIA_TYPE = 'application/json';
/** Many ask for the same playlist at the same time. */
const SHARED = 200;

/** Mails a playlist as it was when that was asked for, and keeps the file. */
export const exportPlaylist: JobType<z.output<typeof payload>> = {
  name: 'export-playlist',
  access: 'everybody',
  usesFiles: true,
  payload,
  backoff: 'exponential',
  async plan({ playlistId, targetEmail, provider }, { caller, isAdmin, momentOf, mail }) {
    const sender = providerOf(provider, mail);
    const moment = await momentOf(playlistId);
    if (!moment) throw notFound('PLAYLIST_NOT_FOUND', 'There is no such playlist.');
    const { ownerId, ...now } = moment;
    if (ownerId !== caller) throw forbidden('Only the owner of the playlist may do this.');
    return { parameters: isAdmin ? { ...now, byAdmin: true } : now, payload: { targetEmail }, provider: sender };
  },
  async work(
    { jobId, ownerId: account, ownerIsAdmin, provider = '', signal, once, ...work },
    { database, files, claim, mailTurn, send },
  ) {
    const { byAdmin, ...moment } = parameters.parse(work.parameters);
    const { targetEmail } = kept.parse(work.payload);
    const content = await contentOf(database, moment);
    const stored = `exports/${jobId}.json`;
    const name = `${moment.playlistId}.json`;
    await claim({ name: stored, account, bytes: content.length });
    await files.put(stored, content, MEDIA_TYPE); // again is the same file
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

const contents = new LRUCache<string, Promise<Buffer>>({ max: SHARED });

/** The file's bytes, made once for all who ask for the same moment. */
function contentOf(database: Database, moment: PlaylistPosition): Promise<Buffer> {
  const key = JSON.stringify(moment);
  const shared = contents.get(key);
  if (shared) return shared;
  const made = fold(database, moment);
  contents.set(key, made);
  made.catch(() => contents.delete(key));
  return made;
}

async function fold(database: Database, moment: PlaylistPosition): Promise<Buffer> {
  const playlist = await playlistAsOf(database, moment);
  if (!playlist) throw new JobFailure('again', 'NOT_READY', 'the playlist’s events are not all there yet');
  return Buffer.from(JSON.stringify({ playlist }));
}
