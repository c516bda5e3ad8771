/** A small catalog of well-known records, three listeners and what they keep of it: see `openmusic seed`. */
export interface SampleAlbum {
  readonly name: string;
  readonly year: number;
  readonly performer: string;
  readonly genre: string;
  /** Title and seconds of each song. */
  readonly songs: readonly (readonly [title: string, duration: number])[];
}

export const ALBUMS: readonly SampleAlbum[] = [
  {
    name: 'Kind of Blue',
    year: 1959,
    performer: 'Miles Davis',
    genre: 'Jazz',
    songs: [
      ['So What', 562],
      ['Freddie Freeloader', 586],
      ['Blue in Green', 337],
      ['All Blues', 693],
      ['Flamenco Sketches', 566],
    ],
  },
  {
    name: 'Homogenic',
    year: 1997,
    performer: 'Björk',
    genre: 'Electronic',
    songs: [
      ['Hunter', 255],
      ['Jóga', 305],
      ['Bachelorette', 312],
      ['All Is Full of Love', 272],
    ],
  },
  {
    name: 'Viva la Vida',
    year: 2008,
    performer: 'Coldplay',
    genre: 'Indie',
    songs: [
      ['Life in Technicolor', 149],
      ['Lost!', 235],
      ['Viva la Vida', 242],
      ['Strawberry Swing', 249],
    ],
  },
  {
    name: 'Autobahn',
    year: 1974,
    performer: 'Kraftwerk',
    genre: 'Electronic',
    songs: [
      ['Autobahn', 1_363],
      ['Kometenmelodie 1', 380],
      ['Mitternacht', 225],
    ],
  },
  {
    name: 'Ágætis byrjun',
    year: 1999,
    performer: 'Sigur Rós',
    genre: 'Post-Rock',
    songs: [
      ['Svefn-g-englar', 604],
      ['Starálfur', 406],
      ['Ágætis byrjun', 475],
    ],
  },
  {
    name: 'Computer World',
    year: 1981,
    performer: 'Kraftwerk',
    genre: 'Electronic',
    songs: [
      ['Computer World', 308],
      ['Pocket Calculator', 296],
      ['Computer Love', 436],
    ],
  },
];

export interface SamplePerson {
  readonly username: string;
  readonly fullname: string;
  /** Names of albums that they like. */
  readonly likes: readonly string[];
}

export const PEOPLE: readonly SamplePerson[] = [
  { username: 'ada', fullname: 'Ada Lovelace', likes: ['Kind of Blue', 'Homogenic'] },
  { username: 'grace', fullname: 'Grace Hopper', likes: ['Homogenic', 'Autobahn'] },
  { username: 'radia', fullname: 'Radia Perlman', likes: ['Viva la Vida', 'Homogenic', 'Ágætis byrjun'] },
];

export interface SamplePlaylist {
  readonly name: string;
  readonly owner: string;
  readonly collaborators: readonly string[];
  /** Titles, in order. */
  readonly songs: readonly string[];
}

export const PLAYLISTS: readonly SamplePlaylist[] = [
  {
    name: 'Late at night',
    owner: 'ada',
    collaborators: ['grace'],
    songs: ['Blue in Green', 'All Is Full of Love', 'Svefn-g-englar', 'So What'],
  },
  {
    name: 'On the road',
    owner: 'grace',
    collaborators: ['ada'],
    songs: ['Autobahn', 'Strawberry Swing', 'Hunter', 'Freddie Freeloader'],
  },
  { name: 'Morning', owner: 'radia', collaborators: [], songs: ['Life in Technicolor', 'Jóga', 'Starálfur'] },
];
