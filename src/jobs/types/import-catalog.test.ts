import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { httpApp } from '../../../test/support/http-app.ts';
import { detailsOf } from './import-details.ts';
import { type ImportEntry, entriesOf } from './import-entries.ts';
import { importCatalog } from './import-catalog.ts';
import { countLines, headerFault, type ImportFormat, linesOf } from './import-lines.ts';

async function all<T>(things: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const thing of things) found.push(thing);
  return found;
}

/** The lines of a text that is read in pieces of so many bytes. */
function read(format: ImportFormat, text: string, pieceSize = 7) {
  const bytes = Buffer.from(text);
  const count = Math.ceil(bytes.length / pieceSize);
  const pieces = Array.from({ length: count }, (_, n) => bytes.subarray(n * pieceSize, (n + 1) * pieceSize));
  return all(linesOf(format, Readable.from(pieces)));
}

const value = (number: number, fields: object) => ({ number, value: fields });
const fault = (number: number, says: string) => ({ number, fault: expect.stringContaining(says) });

describe('lines of CSV', () => {
  it('are numbered where they end, and have the values of their cells', async () => {
    const text = '\ufeffkind, name ,year,genre\nalbum,Ágætis byrjun,1999,\n\n,,,\nsong,"two\nlines, ""so""",-5,Rock\n';
    expect(await read('csv', text)).toEqual([
      value(2, { kind: 'album', name: 'Ágætis byrjun', year: 1999 }),
      value(6, { kind: 'song', name: 'two\nlines, "so"', year: -5, genre: 'Rock' }),
    ]);
  });

  it('may end in LF, CR LF or CR, each in its own way', async () => {
    expect(await read('csv', 'kind,name\r\nalbum,A\r\nalbum,B\nalbum,C\ralbum,D')).toEqual(
      ['A', 'B', 'C', 'D'].map((name, index) => value(index + 2, { kind: 'album', name })),
    );
  });

  it('keep text that is no number', async () => {
    const years = ['1e3', '0x10', '12.5', '', 'soon', '99999999999', ' 7 '];
    const lines = await read('csv', `kind,year\n${years.map((year) => `album,${year}\n`).join('')}`);
    expect(lines.map((line) => 'value' in line && (line.value as { year?: unknown }).year)).toEqual(
      ['1e3', '0x10', '12.5', undefined, 'soon', 99999999999, 7], // prettier-ignore
    );
  });

  it('are bad when a cell has no column, and the next lines are read all the same', async () => {
    expect(await read('csv', 'kind,name\nalbum,A,1\nalbum,5" vinyl\n')).toEqual([
      fault(2, 'does not name'),
      value(3, { kind: 'album', name: '5" vinyl' }),
    ]);
    expect(await read('csv', 'kind,,name\nalbum,x,A\nalbum, ,B\n')).toEqual([
      fault(2, 'does not name'),
      value(3, { kind: 'album', name: 'B' }),
    ]);
  });

  it('may leave out empty cells at the end, or have too many', async () => {
    const text = 'kind,name,year,duration,,\nalbum\nalbum,A\nalbum,B,1\nalbum,C,1,,,\nalbum,D,1,,,, ,\n';
    expect(await read('csv', text)).toEqual([
      value(2, { kind: 'album' }),
      value(3, { kind: 'album', name: 'A' }),
      ...['B', 'C', 'D'].map((name, index) => value(index + 4, { kind: 'album', name, year: 1 })),
    ]);
  });

  it.each([
    ['semicolons', 'kind;name\nalbum;A,B\n', 2],
    ['tabs', 'kind\tname\nalbum\tA,B\n', 2],
    ['semicolons that a line names', 'sep=;\r\nkind;name\r\nalbum;A,B\r\n', 3],
    ['a bar that a line names after a byte order mark', '\ufeffSEP=|\rkind|name\ralbum|A,B\r', 3],
    ['commas that a quoted line names', '"sep=,"\nkind,name\nalbum,"A,B"\n', 3],
    ['tabs that a line names which was saved again', 'sep=\t\t\t\nkind\tname\nalbum\tA,B\n', 3],
    ['semicolons after names with blanks, in any case', '\ufeff KIND ; Name ;\nalbum;A,B;\n', 2],
  ])('have cells that are separated by %s', async (_, text, number) => {
    expect(headerFault(text)).toBeUndefined();
    expect(await read('csv', text)).toEqual([value(number, { kind: 'album', name: 'A,B' })]);
  });

  it.each([
    ['in a line', 'kind,name\nalbum,A\nalbum,"B\nalbum,C\n', 3, [2, 4]],
    ['at the beginning of one, after blank ones', 'kind,name\r\nalbum,A\r\n\r\n\n\r"B\nC', 6, [2, 7]],
    ['after another cell of several lines', 'kind,name,title\nalbum,A\nalbum,"B\n\n","C\nD\n', 5, [2, 6]],
    ['after blanks in all cells', 'kind,name\nalbum,A\n,\n ,\n"', 5, [2]],
    ['in a line that ends in CR alone', 'kind,name\ralbum,A\ralbum,"B\r\rC', 3, [2, 5]],
    ['after a line that names the delimiter', 'sep=;\r\nkind;name\r\nalbum;A\r\n;"B\r\nC', 4, [3, 5]],
    ['before a cell between quotes', 'kind,name,year\nalbum,"A,1\nalbum,"B",2\n', 2, [3]],
    ['before one after a wide delimiter', 'sep=§\nkind§name\nalbum§"A\nalbum§"B"\n', 3, [4]],
    ['after a quote that is doubled', 'kind,name\nalbum,"""A""\nalbum,"B"\n', 2, [3]],
    ['before an empty cell between quotes', 'kind,name,year\nalbum,"A\nalbum,"",1\nalbum,"B"\n', 2, [3, 4]],
  ])('are bad from a quote that is not closed to the end of its line: %s', async (_, text, line, others) => {
    const lines = await read('csv', text);
    expect(lines.at(-1)).toEqual(fault(line, 'begins in this line is not closed'));
    expect(lines.slice(0, -1).map((each) => 'value' in each && each.number)).toEqual(others);
  });

  it('are bad for each quote that is not closed, and no other line is lost', async () => {
    const good = 'song,Yes\n'.repeat(4_000);
    const lines = await read('csv', `kind,title\nsong,"Lost\n${good}song,"Lost\nsong,"Yes"\nsong,"Lost`, 2_048);
    expect(lines.filter((line) => 'fault' in line).map(({ number }) => number)).toEqual([2, 4_003, 4_005]);
    expect(lines.slice(0, 4_001)).toEqual(
      Array.from({ length: 4_001 }, (_, n) => value(n === 4_000 ? 4_004 : n + 3, { kind: 'song', title: 'Yes' })),
    );
  });

  it('do not become one title with a next line that begins with a quote', async () => {
    const text = 'kind,title,year,genre,performer\nsong,"Lost,2001,Rock,A\nsong,"Yes",2002,Pop,B\n';
    const next = { kind: 'song', title: 'Yes', year: 2002, genre: 'Pop', performer: 'B' };
    expect(await read('csv', text)).toEqual([value(3, next), fault(2, 'not closed')]);
  });

  it('keep quotes within or behind a cell', async () => {
    expect(await read('csv', 'kind,name\nalbum,"A" side\nalbum,5"\nalbum,"""B""\n"\n')).toEqual([
      value(2, { kind: 'album', name: '"A" side' }),
      value(3, { kind: 'album', name: '5"' }),
      value(5, { kind: 'album', name: '"B"\n' }),
    ]);
  });

  it('are the same for any pieces that the parser gets', async () => {
    for (let length = 2_030; length <= 2_060; length++) {
      const pad = 'x'.repeat(length - 'kind,name\r\nalbum,\r\n'.length);
      const text = `kind,name\r\nalbum,${pad}\r\n"album","é""\r\n"\r\nalbum,"ö\r\nalbum,"ü"`;
      expect(await read('csv', text, 2_048)).toEqual([
        value(2, { kind: 'album', name: pad }),
        value(4, { kind: 'album', name: 'é"\r\n' }),
        value(6, { kind: 'album', name: 'ü' }),
        fault(5, 'not closed'),
      ]);
    }
  });

  it('are counted as by an editor, also within cells', async () => {
    const ends = ['\r\n', '\n', '\r'];
    const cell = ends.map((end) => `x${end}`).join('');
    const text = ends.map((end) => `album,"${cell}"${end}`).join('');
    const lines = await read('csv', `kind,name\n${text}album,Z`);
    expect(lines.map(({ number }) => number)).toEqual([5, 9, 13, 14]);
    expect(countLines('csv', `kind,name\n${text}album,Z`)).toBe(14);
    expect(countLines('ndjson', '[1]\r\n[\r2]\n')).toBe(3);
  });

  it('do not block the event loop, also when many are bad', async () => {
    const reading = all(linesOf('csv', Readable.from([Buffer.from(`kind,name\n${'a\n'.repeat(5_000)}`)])));
    let [turns, isOver] = [0, false];
    const ended = reading.then((lines) => ((isOver = true), lines));
    while (!isOver) await new Promise((resolve) => setImmediate(resolve, turns++));
    expect(await ended).toHaveLength(5_000);
    expect(turns).toBeGreaterThanOrEqual(5);
  });

  it('fail when reading their source fails', async () => {
    const broken = Readable.from(
      (function* () {
        yield Buffer.from('kind,name\nalbum,A\n');
        throw new Error('the disk is broken');
      })(),
    );
    await expect(all(linesOf('csv', broken))).rejects.toThrow('the disk is broken');
  });
});

describe('lines of NDJSON', () => {
  it('are numbered, and blank ones are left out', async () => {
    const text = '\ufeff{"kind":"album","name":"Ágætis byrjun"}\r\n\n  \n[1]\n{"kind"\n"last"';
    expect(await read('ndjson', text, 3)).toEqual([
      value(1, { kind: 'album', name: 'Ágætis byrjun' }),
      value(4, [1]),
      fault(5, 'not JSON'),
      value(6, 'last' as never),
    ]);
  });

  it('are bad when they are longer than any album or song', async () => {
    const long = '['.repeat(65_537);
    expect(await read('ndjson', `[1]\n${long}\n[2]\n${long}`, 1_000)).toEqual([
      value(1, [1]),
      fault(2, '65536 characters'),
      value(3, [2]),
      fault(4, '65536 characters'),
    ]);
  });
});

/** Values at the limits of the fields. */
const TEXTS = [
  ...[
    'a',
    '',
    ' ',
    'x'.repeat(1_000),
    'x'.repeat(1_001),
    '😀'.repeat(1_000),
    '😀'.repeat(1_001),
    'e\u0301'.repeat(501),
  ],
  ...['nul\0', '\ud800', '\udc00x', '\ufeff', '\u202e', 1, null, true, ['x'], {}],
];
const NUMBERS = [0, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, -(2 ** 31) - 1, 1.5, 1e308, '5', null, true, [5]];

const ALBUM = { name: 'Viva la Vida', year: 2008 };
const SONG = { title: 'Yes', year: 2008, genre: 'Indie', performer: 'Coldplay' };

/** The body with each field in turn left out or at one of its limits. */
const variants = (body: Record<string, unknown>, more: Record<string, unknown> = {}) => [
  ...Object.keys(body).map((field) => ({ ...body, [field]: undefined })),
  ...Object.entries({ ...body, ...more }).flatMap(([field, usual]) =>
    (typeof usual === 'number' ? NUMBERS : TEXTS).map((edge) => ({ ...body, [field]: edge })),
  ),
  { ...body, ...more },
  { ...body, unknown: 1 },
];

describe('a line', () => {
  it.each([
    ['album', '/albums', variants(ALBUM)],
    ['song', '/songs', variants(SONG, { duration: 120 })],
  ])('of an %s accepts what a request accepts', async (kind, url, bodies) => {
    const { app } = httpApp();
    const byHttp: number[] = [];
    for (const payload of bodies) byHttp.push((await app.inject({ method: 'POST', url, payload })).statusCode);
    await app.close();
    // As in a request: JSON has no undefined.
    const lines = bodies.map((body) => detailsOf({ kind, ...(JSON.parse(JSON.stringify(body)) as object) }));
    expect(lines.map((said) => (typeof said === 'string' ? 400 : 201))).toEqual(byHttp);
    expect(new Set(byHttp)).toEqual(new Set([201, 400]));
  });

  it.each([
    [null, 'it must be album or song'],
    [[], 'it must be album or song'],
    [{}, 'kind must be album or song'],
    [{ kind: 'single' }, 'kind must be album or song'],
    [{ kind: 'album' }, 'name is required, year is required'],
    [{ kind: 'album', ...ALBUM, name: '' }, 'name must not be empty'],
    [{ kind: 'album', ...ALBUM, title: 'Yes' }, 'title is not known here'],
    [{ kind: 'song', ...SONG, year: '2008' }, 'year must be a whole number of at most 32 bits'],
    [{ kind: 'song', ...SONG, album: 'x\0' }, 'album must not contain NUL or half a surrogate pair'],
  ])('%j gets the message: %s', (line, says) => {
    expect(detailsOf(line)).toBe(says);
  });
});

const JOB = 'job-00000000000000000000000000000001';

async function entries(...values: object[]): Promise<ImportEntry[]> {
  const lines = values.map((each, index) => value(index + 1, each));
  return all(entriesOf(JOB, Readable.from(lines) as AsyncIterable<{ number: number; value: unknown }>));
}

const album = (name: string) => ({ kind: 'album', name, year: 2008 });
const song = (named?: string) => ({ kind: 'song', ...SONG, ...(named !== undefined && { album: named }) });
const idOf = (entry?: ImportEntry) =>
  entry?.kind === 'album' ? `album-${entry.commandId.replaceAll('-', '')}` : 'none';
const albumIdOf = (entry?: ImportEntry) => (entry?.kind === 'song' ? entry.details.albumId : entry);

describe('the entries of an import', () => {
  it('have the same command ids in each attempt, and others in another job', async () => {
    const [[one], [again]] = [await entries(album('A')), await entries(album('A'))];
    const [other] = await all(entriesOf(`${JOB}2`, Readable.from([value(1, album('A'))])));
    expect(idOf(again)).toBe(idOf(one));
    expect(idOf(other)).not.toBe(idOf(one));
  });

  it('find the last album of a name in the lines above', async () => {
    const found = await entries(album('A'), song('A'), album('A'), album('B'), song('A'), song('B'), song());
    const [first, ofFirst, second, b, ofSecond, ofB, alone] = found;
    expect([ofFirst, ofSecond, ofB, alone].map(albumIdOf)).toEqual([idOf(first), idOf(second), idOf(b), null]);
  });

  it.each([
    ['Noël', 'Noe\u0308l'],
    ['Noe\u0308l', 'NOËL'],
    ['ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
    ['Straße', 'STRASSE'],
  ])('find %j by %j', async (name, named) => {
    const [above, ofAbove] = await entries(album(name), song(named));
    expect(above).toMatchObject({ details: { name } });
    expect(albumIdOf(ofAbove)).toBe(idOf(above));
  });

  it('prefer the album with the same spelling', async () => {
    const [live, , ofLive, ofNone] = await entries(album('Live'), album('LIVE'), song('Live'), song('live'));
    expect(albumIdOf(ofLive)).toBe(idOf(live));
    expect(albumIdOf(ofNone)).not.toBe(idOf(live));
  });

  it('find any album by its id, and none in the lines below', async () => {
    const id = 'album-0199d3e8f5c7a40b2f10c9a4e6d1b77f';
    const [byId, above] = await entries(song(id), song('A'), album('A'));
    expect(albumIdOf(byId)).toBe(id);
    expect(above).toMatchObject({ kind: 'bad', fault: expect.stringContaining('in the lines above') });
  });

  it('of songs wait for the album of a line', async () => {
    const [first, second] = await entries(album('A'), song('A'));
    let waits = true;
    void (second?.kind === 'song' ? second.album : undefined)?.then(() => (waits = false));
    await new Promise(setImmediate);
    expect(waits).toBe(true);
    if (first?.kind === 'album') first.settle();
    await new Promise(setImmediate);
    expect(waits).toBe(false);
  });
});

describe('the payload of an import', () => {
  const says = (payload: unknown) => {
    const { error } = importCatalog.payload.safeParse(payload);
    return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? 'fine';
  };

  it.each([
    ['columns in any order', { format: 'csv', data: '\ufeffyear,name,kind\n' }],
    ['columns between quotes and blanks', { format: 'csv', data: '"kind", name\r\n' }],
    ['columns in capital letters', { format: 'csv', data: 'KIND,Name\r\n' }],
    ['many columns without a name', { format: 'csv', data: `kind,name${','.repeat(500)}\r\n` }],
    ['as many lines that end in CR', { format: 'csv', data: `kind,name${'\r'.repeat(99_999)}` }],
    ['as many lines that end in CR LF', { format: 'csv', data: `kind,name${'\r\n'.repeat(99_999)}` }],
    ['lines of JSON without a header', { format: 'ndjson', data: '{"kind":"album"}' }],
    ['as many lines as there may be', { format: 'ndjson', data: '\n'.repeat(99_999) }],
  ])('may have %s', (_, payload) => {
    expect(says(payload)).toBe('fine');
  });

  it.each([
    ['no header', { format: 'csv', data: '' }, 'data: must begin with a line'],
    ['a header without kind', { format: 'csv', data: 'name,year\nalbum,2008' }, 'data: must begin with a line'],
    ['an unknown column', { format: 'csv', data: 'kind,price\n' }, 'data: must begin with a line'],
    ['a column twice', { format: 'csv', data: 'kind,name,name\n' }, 'data: must begin with a line'],
    ['a column twice, in another case', { format: 'csv', data: 'kind,name,NAME\n' }, 'data: must begin with a line'],
    ['another delimiter than it says', { format: 'csv', data: 'sep=;\nkind,name\n' }, 'data: must begin with a line'],
    ['a delimiter that is not known', { format: 'csv', data: 'kind|name\n' }, 'data: must begin with a line'],
    ['too many lines that end in CR', { format: 'csv', data: `kind,name${'\r'.repeat(100_000)}` }, 'data: must have at most 100000 lines'], // prettier-ignore
    ['a header of many blanks', { format: 'csv', data: `${' '.repeat(1_000)}kind\n` }, 'data: must begin with a line'],
    ['a header that does not end', { format: 'csv', data: 'kind,"name\n' }, 'data: must begin with a line'],
    ['too many lines', { format: 'ndjson', data: '\n'.repeat(100_000) }, 'data: must have at most 100000 lines'],
    ['too many bytes', { format: 'ndjson', data: 'é'.repeat(2_621_441) }, 'data: must have at most 5242880 bytes'],
    ['another format', { format: 'xml', data: '' }, 'format: must be csv or ndjson'],
    ['another field', { format: 'ndjson', data: '', url: '' }, 'Unrecognized key'],
  ])('cannot have %s', (_, payload, message) => {
    expect(says(payload)).toEqual([expect.stringContaining(message)]);
  });
});
