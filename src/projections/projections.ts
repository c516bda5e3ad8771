import { albums } from './albums.ts';
import type { Projection } from './projection.ts';
import { songs } from './songs.ts';

/** Every read model. A change of any table or `apply` needs a new READ_VERSION, and so a new build. */
export const projections: readonly Projection[] = [albums, songs];

/** Version of the read models; a generation is one build of one version. */
export const READ_VERSION = 1;
