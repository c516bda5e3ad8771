import { describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { csvLine } from './csv.ts';

const read = (csv: string): string[][] => parse(csv, { relax_column_count: true });

/** What a spreadsheet shows where it takes the apostrophe for what it is. */
const shown = (cell: string) => cell.replace(/^'(?=[\s"']*[=+\-@\t\r\n])/, '');

/** Much of what makes trouble in little space. */
const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', ' ', "'", '"', ',', ';', 'a') }),
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
  ])('of %j is %j', (values, line) => {
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
    ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
  ])('has %j as text', (value, cell) => {
    expect(csvLine([value])).toBe(`${cell}\r\n`);
  });

  it.each([['a=b'], ['2-1'], ['x@example.com'], ["it's"], ['"quoted"'], ['  indented']])('leaves %j alone', (value) => {
    expect(read(csvLine([value, 'x']))).toEqual([[value, 'x']]);
  });

  it('loses nothing, whatever is in it', () => {
    fc.assert(fc.property(lines, (line) => expect(read(csvLine(line)).map((row) => row.map(shown))).toEqual([line])));
  });

  it('never has a cell that is calculated', () => {
    const read0 = (line: string[]) => read(csvLine(line))[0]!;
    fc.assert(fc.property(lines, (line) => read0(line).every((cell) => !/^[\s"]*[=+\-@\t\r\n]/.test(cell))));
  });

  it('is one of many', () => {
    const many = fc.array(lines, { minLength: 1 });
    fc.assert(fc.property(many, (all) => expect(read(all.map(csvLine).join(''))).toHaveLength(all.length)));
  });
});
