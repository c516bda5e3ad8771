import { describe, expect, it } from '@jest/globals';
import { avif, gif, jpeg, png, webp } from '../../../../test/support/images.ts';
import { imageTypeOf, mediaTypeOf } from './images.ts';

const problem = (code: string) => expect.objectContaining({ problem: expect.objectContaining({ status: 400, code }) });
const tooMany = problem('TOO_MANY_PIXELS');
const none = problem('NOT_AN_IMAGE');

function refusal(bytes: Buffer): unknown {
  try {
    return imageTypeOf(bytes);
  } catch (error) {
    return error;
  }
}

function boxOfSize(size: number, type: string, ...content: Buffer[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(size);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, ...content]);
}

const lengthOf = (content: readonly Buffer[]) => Buffer.concat(content).length;
const box = (type: string, ...content: Buffer[]) => boxOfSize(8 + lengthOf(content), type, ...content);
/** A box that extends to the end of the file. */
const lastBox = (type: string, ...content: Buffer[]) => boxOfSize(0, type, ...content);
/** A box with a size of 64 bits. */
function largeBox(type: string, content: Buffer, size = 16 + content.length): Buffer {
  const large = Buffer.alloc(8);
  large.writeBigUInt64BE(BigInt(size));
  return boxOfSize(1, type, large, content);
}

const ispe = (width: number, height: number) => {
  const size = Buffer.alloc(12);
  size.writeUInt32BE(width, 4);
  size.writeUInt32BE(height, 8);
  return box('ispe', size);
};
const avifOf = (brands: string, ...properties: Buffer[]) =>
  Buffer.concat([
    box('ftyp', Buffer.from(brands)),
    box('meta', Buffer.alloc(4), box('hdlr', Buffer.alloc(25)), box('iprp', box('ipco', ...properties))),
  ]);

const AVIF_BRANDS = box('ftyp', Buffer.from('avif\0\0\0\0'));
const iprpOf = (...properties: Buffer[]) => box('iprp', box('ipco', ...properties));
const metaContent = (...properties: Buffer[]) => Buffer.concat([Buffer.alloc(4), iprpOf(...properties)]);

/** A JPEG with these bytes between its first two segments. */
const strayIn = (bytes: string) => {
  const [whole, at] = [jpeg(), 20];
  return Buffer.concat([whole.subarray(0, at), Buffer.from(bytes, 'hex'), whole.subarray(at)]);
};

const webpOf = (kind: string, data: string) =>
  Buffer.concat([Buffer.from(`RIFF\0\0\0\0WEBP${kind}\0\0\0\0`), Buffer.from(data, 'hex')]);

/** A GIF whose screen is 1 by 1. */
const gifWithFrame = (width: number, height: number) => {
  const frame = Buffer.from([0x2c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0x3b]);
  frame.writeUInt16LE(width, 5);
  frame.writeUInt16LE(height, 7);
  return Buffer.concat([gif().subarray(0, 13 + 6), Buffer.from([0x21, 0xfe, 1, 65, 0]), frame]);
};

describe('the type of an image', () => {
  it.each([
    ['image/png', 'png', png()],
    ['image/jpeg', 'jpg', jpeg()],
    ['image/jpeg', 'jpg', Buffer.from('ffd8ffffe00004aaaaff01ffc2000b080001000101011100', 'hex')],
    ['image/gif', 'gif', gif()],
    ['image/webp', 'webp', webp()],
    ['image/webp', 'webp', webpOf('VP8L', '2f00000000')],
    ['image/webp', 'webp', webpOf('VP8X', '00000000000000000000')],
    ['image/avif', 'avif', avif()],
    ['image/avif', 'avif', avifOf('mif1\0\0\0\0avif', ispe(7_000, 7_000))],
  ])('is %s (%s)', (mediaType, extension, bytes) => {
    expect(imageTypeOf(bytes)).toEqual({ mediaType, extension });
    expect(mediaTypeOf(`cover.${extension}`)).toBe(mediaType);
  });

  it.each([
    ['PNG', png({ width: 10_000, height: 5_001 })],
    ['GIF', gifWithFrame(10_000, 5_001)],
    ['AVIF', avifOf('avif\0\0\0\0', ispe(1, 1), ispe(10_000, 5_001), ispe(2, 2))],
    ['WebP', webpOf('VP8 ', '0000009d012aff3fff3f')],
    ['WebP', webpOf('VP8L', '2fffffffff')],
    ['WebP', webpOf('VP8X', '00000000ffff00ffff00')],
    ['JPEG', Buffer.from('ffd8ffc0000b08ffffffff01011100', 'hex')],
  ])('is refused when a %s declares more than 50 million pixels', (_, bytes) => {
    expect(refusal(bytes)).toEqual(tooMany);
  });

  it.each([
    ['one byte', '00'],
    ['many bytes', '0badf00d'.repeat(1_000)],
    ['an FF followed by a zero', 'ff00'],
    ['fill bytes', 'ffffffff'],
    ['all of them', '00ff00ffff000d0aff'],
  ])('is that of a JPEG with %s between two segments', (_, stray) => {
    expect(imageTypeOf(strayIn(stray)).extension).toBe('jpg');
  });

  it.each([
    ['right at the beginning', 'ffd800aaffc0000b080001000101011100'],
    ['behind a segment whose length is too small', 'ffd8ffe0000000ffc0000b080001000101011100'],
    ['behind a marker without a length', 'ffd8ff0100ffc0000b080001000101011100'],
  ])('is that of a JPEG with stray bytes %s', (_, hex) => {
    expect(imageTypeOf(Buffer.from(hex, 'hex')).extension).toBe('jpg');
  });

  it('is refused when a JPEG declares too many pixels after stray bytes', () => {
    expect(refusal(Buffer.from('ffd8ffe00002aaff00ffc0000b08ffffffff01011100', 'hex'))).toEqual(tooMany);
  });

  it.each([
    ['meta', [AVIF_BRANDS, largeBox('meta', metaContent(ispe(8, 8)))]],
    ['what is before meta', [AVIF_BRANDS, largeBox('free', Buffer.alloc(9)), box('meta', metaContent(ispe(8, 8)))]],
    ['the brands', [largeBox('ftyp', Buffer.from('avif\0\0\0\0')), box('meta', metaContent(ispe(8, 8)))]],
    ['the properties', [AVIF_BRANDS, box('meta', Buffer.alloc(4), largeBox('iprp', box('ipco', ispe(8, 8))))]],
    ['one property', [AVIF_BRANDS, box('meta', metaContent(largeBox('ispe', ispe(8, 8).subarray(8))))]],
  ])('is that of an AVIF with a 64-bit size of %s', (_, boxes) => {
    expect(imageTypeOf(Buffer.concat(boxes)).extension).toBe('avif');
  });

  it('is that of an AVIF whose last box has no size', () => {
    const meta = box('meta', metaContent(ispe(8, 8)));
    expect(imageTypeOf(Buffer.concat([AVIF_BRANDS, lastBox('meta', metaContent(ispe(8, 8)))])).extension).toBe('avif');
    expect(imageTypeOf(Buffer.concat([AVIF_BRANDS, meta, lastBox('mdat', Buffer.alloc(9))])).extension).toBe('avif');
  });

  it.each([
    ['a box of 64 bits', largeBox('meta', metaContent(ispe(10_000, 5_001)))],
    ['a last box', lastBox('meta', metaContent(ispe(10_000, 5_001)))],
  ])('is refused when an AVIF declares too many pixels in %s', (_, meta) => {
    expect(refusal(Buffer.concat([AVIF_BRANDS, meta]))).toEqual(tooMany);
  });

  it('is accepted with 50 million pixels', () => {
    expect(imageTypeOf(png({ width: 10_000, height: 5_000 })).extension).toBe('png');
    expect(imageTypeOf(gifWithFrame(10_000, 5_000)).extension).toBe('gif');
  });

  it.each([
    ['no pixels', png({ height: 0 })],
    ['no head', png().subarray(8)],
    ['a JPEG of nothing but zeros', Buffer.concat([Buffer.from('ffd8', 'hex'), Buffer.alloc(500_000)])],
    ['a JPEG without a frame', Buffer.from('ffd8ffe00004aaaaffd9', 'hex')],
    ['a JPEG that begins with its pixels', Buffer.from('ffd8ffda0004aaaa00', 'hex')],
    ['a JPEG whose frame is behind its pixels', Buffer.from('ffd8ffda0004aaaa00ffc0000b080001000101011100', 'hex')],
    ['a JPEG whose frame is behind its end', Buffer.from('ffd8ffd9ffc0000b080001000101011100', 'hex')],
    ['an AVIF with a box larger than 64 bits of it', Buffer.concat([AVIF_BRANDS, largeBox('free', Buffer.alloc(9), 2 ** 62), box('meta', metaContent(ispe(8, 8)))])], // prettier-ignore
    ['an AVIF with a box smaller than its head', Buffer.concat([AVIF_BRANDS, largeBox('free', Buffer.alloc(9), 15), box('meta', metaContent(ispe(8, 8)))])], // prettier-ignore
    ['an AVIF whose size is behind its last box', Buffer.concat([AVIF_BRANDS, lastBox('mdat', box('meta', metaContent(ispe(8, 8))))])], // prettier-ignore
    ['an AVIF with a box without a size in another', Buffer.concat([AVIF_BRANDS, box('meta', Buffer.alloc(4), lastBox('iprp', box('ipco', ispe(8, 8)))), box('mdat')])], // prettier-ignore
    ['a HEIC', avifOf('heic\0\0\0\0mif1', ispe(8, 8))],
    ['an AVIF without a size', avifOf('avif\0\0\0\0')],
    ['an AVIF whose boxes are larger than it', avifOf('avif\0\0\0\0', ispe(8, 8)).subarray(0, -1)],
    ['a WebP of an unknown kind', webpOf('VP9 ', '0000009d012a01000100')],
    ['another RIFF', Buffer.from('RIFF\0\0\0\0WAVEfmt ')],
  ])('is not found for %s', (_, bytes) => {
    expect(refusal(bytes)).toEqual(none);
  });

  it.each([
    ['PNG', png({ padding: 100 })],
    ['JPEG', jpeg()],
    ['WebP', webp()],
    ['AVIF', avif()],
  ])('of a %s that is truncated anywhere is the same or not found', (_, bytes) => {
    const whole = imageTypeOf(bytes);
    for (let length = 0; length < bytes.length; length++) {
      const seen = refusal(bytes.subarray(0, length));
      if (!(seen instanceof Error)) expect(seen).toEqual(whole);
      else expect(seen).toEqual(none);
    }
  });

  it('is found in a time linear in the bytes', () => {
    const many = (count: number, part: Buffer) => Buffer.concat(Array.from({ length: count }, () => part));
    const before = process.cpuUsage(); // CPU time of this process, which other programs do not affect
    expect(imageTypeOf(avifOf('avif\0\0\0\0', many(25_000, ispe(1, 1)))).extension).toBe('avif');
    refusal(avifOf('avif\0\0\0\0'.repeat(40_000)));
    refusal(Buffer.concat([Buffer.from('ffd8', 'hex'), many(250_000, Buffer.from('ffff', 'hex'))]));
    refusal(Buffer.concat([Buffer.from('ffd8', 'hex'), many(250_000, Buffer.from('ff00', 'hex'))]));
    refusal(Buffer.concat([gif().subarray(0, 19), many(170_000, Buffer.from('21fe00', 'hex'))]));
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(2_000);
  });
});
