import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../../test/support/characters.ts';
import { attachmentOf } from './disposition.ts';

it.each([
  ['playlist.json', 'playlist.json', 'playlist.json'],
  ['my list.zip', 'my list.zip', 'my%20list.zip'],
  ['Überraschung.csv', '_berraschung.csv', '%C3%9Cberraschung.csv'],
  ['💿.zip', '_.zip', '%F0%9F%92%BF.zip'],
  ['a"b.zip', 'a_b.zip', 'a%22b.zip'],
  ['a\\".zip', 'a__.zip', 'a%5C%22.zip'],
  ['50%20.zip', '50_20.zip', '50%2520.zip'],
  ["it's (1)*.zip", "it's (1)_.zip", 'it%27s%20%281%29%2A.zip'],
  ['a\r\nSet-Cookie: x', 'a__Set-Cookie_ x', 'a__Set-Cookie%3A%20x'],
  ['../../etc/passwd', '.._.._etc_passwd', '..%2F..%2Fetc%2Fpasswd'],
  ['\ud800.zip', '_.zip', '%EF%BF%BD.zip'],
  ['cod\u202egpj.exe', 'cod_gpj.exe', 'cod_gpj.exe'],
  ['', 'file', 'file'],
])('saves %j as %j in ASCII, and as %j in full', (name, plain, extended) => {
  expect(attachmentOf(name)).toBe(`attachment; filename="${plain}"; filename*=UTF-8''${extended}`);
});

it('makes a header of two parameters from any name', () => {
  const header = /^attachment; filename="[ !#-[\]-~]+"; filename\*=UTF-8''(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+$/;
  fc.assert(fc.property(fc.string({ unit: anyCharacter }), (name) => expect(attachmentOf(name)).toMatch(header)));
  fc.assert(fc.property(fc.string({ unit: 'binary-ascii' }), (name) => expect(attachmentOf(name)).toMatch(header)));
});
