import type { Figure } from './figure.ts';
import { cachedReads } from './figures/cached-reads.ts';
import { catchUp } from './figures/catch-up.ts';
import { createAlbum } from './figures/create-album.ts';
import { eventsFeed } from './figures/events-feed.ts';
import { jobsAccept } from './figures/jobs-accept.ts';
import { jobsMails } from './figures/jobs-mails.ts';
import { jobsNoop } from './figures/jobs-noop.ts';
import { jobsQueued } from './figures/jobs-queued.ts';
import { listSongs } from './figures/list-songs.ts';
import { logExport } from './figures/log-export.ts';
import { login } from './figures/login.ts';
import { marks } from './figures/marks.ts';
import { memory } from './figures/memory.ts';
import { playlistSongs } from './figures/playlist-songs.ts';
import { playlistVersions } from './figures/playlist-versions.ts';
import { publisher } from './figures/publisher.ts';
import { searchSongs } from './figures/search-songs.ts';

/** Every figure, in the order of the documentation. A new one is a file in figures/ and a line here. */
export const figures: readonly Figure[] = [
  createAlbum,
  publisher,
  playlistSongs,
  playlistVersions,
  marks,
  cachedReads,
  searchSongs,
  listSongs,
  eventsFeed,
  login,
  jobsNoop,
  jobsAccept,
  jobsQueued,
  jobsMails,
  catchUp,
  logExport,
  memory,
];
