import { albums } from './albums.ts';
import { collaborations } from './collaborations.ts';
import { jobAttempts } from './job-attempts.ts';
import { jobs } from './jobs.ts';
import { likeCounts } from './like-counts.ts';
import { likes } from './likes.ts';
import { playlistActivities } from './playlist-activities.ts';
import { playlistEntries } from './playlist-entries.ts';
import { playlists } from './playlists.ts';
import type { Projection } from './engine/projection.ts';
import { songs } from './songs.ts';

/** Every read model. A change of a table, of a handler or of `fold` needs a new READ_VERSION; read-version.lock.json demands it. */
export const projections: readonly Projection[] = [
  albums,
  songs,
  playlists,
  playlistEntries,
  collaborations,
  playlistActivities,
  likes,
  likeCounts,
  jobs,
  jobAttempts,
];

/** Version of the read models. A generation is one set of tables of one version. */
export const READ_VERSION = 7;
