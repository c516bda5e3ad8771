import { badInput } from '../../errors.ts';
import {
  type Measure,
  measureAvif,
  measureGif,
  measureJpeg,
  measurePng,
  measureWebp,
  type Size,
} from './image-formats.ts';

export interface ImageType {
  /** Without a dot. */
  readonly extension: string;
  readonly mediaType: string;
}

/** Formats that browsers show but do not execute. SVG is left out because it can contain scripts. */
const FORMATS: readonly (ImageType & { readonly measure: Measure })[] = [
  { extension: 'png', mediaType: 'image/png', measure: measurePng },
  { extension: 'jpg', mediaType: 'image/jpeg', measure: measureJpeg },
  { extension: 'gif', mediaType: 'image/gif', measure: measureGif },
  { extension: 'webp', mediaType: 'image/webp', measure: measureWebp },
  { extension: 'avif', mediaType: 'image/avif', measure: measureAvif },
];

/** Limit of pixels: a small file can make a viewer allocate gigabytes of memory. */
const MAX_PIXELS = 50_000_000;

/**
 * The image type by the first bytes, without regard to the file's name. Other content may follow, so the server must send the type
 * with nosniff. Throws NOT_AN_IMAGE and TOO_MANY_PIXELS.
 */
export function imageTypeOf(bytes: Buffer): ImageType {
  for (const { extension, mediaType, measure } of FORMATS) {
    const size = sizeOf(bytes, measure);
    if (!size) continue;
    if (size.width * size.height > MAX_PIXELS) throw tooManyPixels();
    return { extension, mediaType };
  }
  throw badInput('NOT_AN_IMAGE', 'The file is not an image: PNG, JPEG, GIF, WebP and AVIF are accepted.');
}

function sizeOf(bytes: Buffer, measure: Measure): Size | undefined {
  try {
    const size = measure(bytes);
    return size && size.width > 0 && size.height > 0 ? size : undefined;
  } catch (error) {
    if (endsTooSoon(error)) return undefined;
    throw error;
  }
}

const endsTooSoon = (error: unknown) => (error as Error).name === 'RangeError';

const tooManyPixels = () =>
  badInput('TOO_MANY_PIXELS', `The image has more than ${MAX_PIXELS / 1_000_000} million pixels.`);

export const mediaTypeOf = (file: string): string =>
  FORMATS.find(({ extension }) => file.endsWith(`.${extension}`))?.mediaType ?? 'application/octet-stream';
