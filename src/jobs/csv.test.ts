import { describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { anyCharacter } from '../../test/support/characters.ts';
import { csvLine } from './csv.ts';

const read = (csv: string): string[][] => parse(csv, { relax_column_count: true });

/** The text as a spreadsheet reads it when apostrophes are plain characters. */
const shown = (cell: string) =>
  cell
    .replace(/^'(?=[\s"'\p{Cc}\p{Cf}\p{DI}\u2800]*[=+\-@＝＋－＠﹦﹢﹣﹫\t\r\n])/u, '')
    .replace(/(?<=[;\t\r\n])'(?=(?:(?![\t\r\n])[\s"'\p{Cc}\p{Cf}\p{DI}\u2800])*[=+\-@＝＋－＠﹦﹢﹣﹫])/gu, '');

/** Short texts with many special characters. */
const texts = fc.oneof(
  fc.string({ unit: anyCharacter }),
  fc.string({ unit: fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', ' ', "'", '"', ',', ';', 'a') }),
  fc.string({
    unit: fc.constantFrom('＝', '＋', '－', '＠', '\u200b', '\u3164', '\u00a0', '\t', ';', '\r\n', "'", 'a'),
  }),
  fc.string({ unit: 'grapheme' }),
);
const lines = fc.array(texts, { minLength: 2 });

describe('a line of CSV', () => {
  it.each([
    [['Viva la Vida', 2008], 'Viva la Vida,2008\r\n'],
    [['', null], ',\r\n'],
    [['a,b', 'say "hi"', 'two\r\nlines'], '"a,b","say ""hi""","two\r\nlines"\r\n'],
    [[-5, 0.1, 1e21], '-5,0.1,1e+21\r\n'],
    [[' spaces ', 'ünï'], ' spaces ,ünï\r\n'],
  ])('writes %j as %j', (values, line) => {
    expect(csvLine(values)).toBe(line);
  });

  it.each([
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\tx', "'\tx"],
    ['\rx', '"\'\rx"'],
    ['\nx', '"\'\nx"'],
    ['  =1+1', "'  =1+1"],
    ['\u00a0=1+1', "'\u00a0=1+1"],
    ['"=1+1', '"\'""=1+1"'],
    ["'=1+1", "''=1+1"],
    [' "\' =1+1', '"\' ""\' =1+1"'],
    ['＝1+1', "'＝1+1"],
    ['＋1', "'＋1"],
    ['－1', "'－1"],
    ['＠SUM(A1)', "'＠SUM(A1)"],
    ['﹦1+1', "'﹦1+1"],
    ['\u3000＝1+1', "'\u3000＝1+1"],
    ['\ufeff=1+1', "'\ufeff=1+1"],
    ['\u200b=1+1', "'\u200b=1+1"],
    ['\u202e=1+1', "'\u202e=1+1"],
    ['\u00ad=1+1', "'\u00ad=1+1"],
    ['\u3164=1+1', "'\u3164=1+1"],
    ['\ufe0f=1+1', "'\ufe0f=1+1"],
    ['\u2800=1+1', "'\u2800=1+1"],
    ['\0=1+1', "'\0=1+1"],
    ['\v=1+1', "'\v=1+1"],
    ['a;=1+1', "a;'=1+1"],
    ['a; ＝1+1', "a;' ＝1+1"],
    ['a;\u200b-1;+1', "a;'\u200b-1;'+1"],
    ['a;"=1+1"', '"a;\'""=1+1"""'],
    ['a\t=1+1', "a\t'=1+1"],
    ['a\n=1+1', '"a\n\'=1+1"'],
    ['a\r\n@x', '"a\r\n\'@x"'],
    ['=1;=2', "'=1;'=2"],
    ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
  ])('writes %j as text', (value, cell) => {
    expect(csvLine([value])).toBe(`${cell}\r\n`);
  });

  it.each([
    ['a;b'],
    ['a; b=c'],
    ['a\tb'],
    ['\u200ba'],
    ['a＝b'],
    [';'],
    ['a=b'],
    ['2-1'],
    ['x@example.com'],
    ["it's"],
    ['"quoted"'],
    ['  indented'],
  ])('leaves %j unchanged', (value) => {
    expect(read(csvLine([value, 'x']))).toEqual([[value, 'x']]);
  });

  it('loses nothing of any text', () => {
    fc.assert(fc.property(lines, (line) => expect(read(csvLine(line)).map((row) => row.map(shown))).toEqual([line])));
  });

  it('never has a cell that a spreadsheet calculates', () => {
    const read0 = (line: string[]) => read(csvLine(line))[0]!;
    fc.assert(fc.property(lines, (line) => read0(line).every((cell) => !/^[\s"]*[=+\-@\t\r\n]/.test(cell))));
  });

  it('never has one where semicolons or tabs separate cells and quotes mean nothing', () => {
    const cellsOf = (line: string[]) => csvLine(['title', ...line]).split(/[;\t\r\n]/);
    const isCalculated = (cell: string) => /^[\s"\p{Cc}\p{Cf}]*[=+\-@＝＋－＠]/u.test(cell);
    fc.assert(fc.property(lines, (line) => expect(cellsOf(line).filter(isCalculated)).toEqual([])));
  });

  it('can be read back among many', () => {
    const many = fc.array(lines, { minLength: 1 });
    fc.assert(fc.property(many, (all) => expect(read(all.map(csvLine).join(''))).toHaveLength(all.length)));
  });
});
