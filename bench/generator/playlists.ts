import { playlist, type PlaylistCommand, type PlaylistContext } from '../../src/commands/playlist.ts';
import type { Author } from './author.ts';
import type { Catalog, Move } from './catalog.ts';
import { createCategory, type Stream, type SentCommand } from './category.ts';
import { createWords } from './words.ts';

type State = ReturnType<typeof playlist.evolve>;
type Present = Extract<State, { status: 'present' }>;
type Choice = SentCommand<PlaylistCommand, PlaylistContext> | undefined;

/** Playlists of some ten songs, now and then shared. */
export function playlistMoves(author: Author, catalog: Catalog, people: readonly string[]): Move[] {
  const { chance } = author;
  const words = createWords(chance);
  const playlists = createCategory(playlist, author);

  /** The owner, or one of the collaborators. */
  const member = ({ ownerId, collaborators }: Present) => chance.pick([ownerId, ...collaborators]);

  function addSong(state: Present): Choice {
    const [songId, actor] = [catalog.anySong(), member(state)];
    if (songId === undefined || state.entries.present.some((entry) => entry.songId === songId)) return undefined;
    const command = { type: 'AddSong', songId, entryId: author.name('entry'), duplicates: 'refuse', actor } as const;
    return { command, context: { song: catalog.songOf(songId) }, actor };
  }

  function removeSong(state: Present): Choice {
    const [entry, actor] = [chance.any(state.entries.present), member(state)];
    const song = entry && catalog.songOf(entry.songId);
    if (!entry || song === undefined) return undefined;
    return { command: { type: 'RemoveSong', songId: entry.songId, actor }, context: { song }, actor };
  }

  function share({ ownerId: actor, collaborators }: Present): Choice {
    const accountId = chance.any(people);
    if (accountId === undefined || accountId === actor || collaborators.includes(accountId)) return undefined;
    const command = { type: 'AddCollaborator', accountId, collaborationId: author.name('collab'), actor } as const;
    return { command, context: { accountExists: true }, actor };
  }

  function unshare({ ownerId: actor, collaborators }: Present): Choice {
    const accountId = chance.any(collaborators);
    if (accountId === undefined) return undefined;
    return { command: { type: 'RemoveCollaborator', accountId, actor }, context: { accountExists: true }, actor };
  }

  function create() {
    const actor = chance.any(people) ?? '';
    return playlists.create({ command: { type: 'CreatePlaylist', name: words.title(), actor }, context: {}, actor });
  }

  const rename = ({ ownerId: actor }: Present): Choice => ({
    command: { type: 'RenamePlaylist', name: words.title(), actor },
    context: {},
    actor,
  });

  const change = (choose: (state: Present) => Choice) => () => playlists.change(ofPresent(choose));
  return [
    { weight: 2, happen: create },
    { weight: 1, happen: change(rename) },
    { weight: 13, happen: change(addSong) },
    { weight: 3, happen: change(removeSong) },
    { weight: 1, happen: change(share) },
    { weight: 1, happen: change(unshare) },
    { weight: 1, happen: () => playlists.end(ofPresent(remove)) },
  ];
}

const remove = ({ ownerId: actor }: Present): Choice => ({
  command: { type: 'DeletePlaylist', actor },
  context: {},
  actor,
});

/** Every live playlist is present. */
const ofPresent =
  (choose: (state: Present) => Choice) =>
  ({ state }: Stream<State>): Choice =>
    state.status === 'present' ? choose(state) : undefined;
