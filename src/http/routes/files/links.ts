import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** Keys of the signatures of links; both at least 32 bytes. */
export interface LinkKeys {
  readonly current: string;
  readonly previous?: string;
}

/** What the holder of a link may do, on behalf of which account, and until when. */
interface Grant {
  readonly method: string;
  readonly path: string;
  /** Account id. */
  readonly owner: string;
  /** Seconds since the epoch. */
  readonly expires: string;
}

export interface LinkedFile {
  /** Base of every URL in an answer. */
  readonly publicUrl: string;
  readonly fileId: string;
  /** Account id. */
  readonly owner: string;
  readonly expires: Date;
}

/** A URL with which anyone can download the file on behalf of its owner, until `expires`, in whole seconds. */
export function linkTo({ publicUrl, fileId, owner, expires: date }: LinkedFile, keys: LinkKeys): string {
  const expires = String(Math.floor(date.getTime() / 1_000));
  const path = contentPathOf(fileId);
  const signature = signLink({ method: 'GET', path, owner, expires }, keys.current);
  return `${publicUrl}${path}?${new URLSearchParams({ owner, expires, signature }).toString()}`;
}

export interface LinkRequest {
  readonly method: string;
  readonly fileId: string;
  /** Not validated yet. */
  readonly query: unknown;
}

/** The account on whose behalf the file is requested; undefined unless one of the keys signed exactly this request and it has not expired. */
export function ownerByLink(request: LinkRequest, keys: LinkKeys, now = Date.now()): string | undefined {
  const query = signed.safeParse(request.query).data;
  if (!query) return undefined;
  const { owner, expires, signature } = query;
  const grant = { method: methodOf(request), path: contentPathOf(request.fileId), owner, expires };
  const isGood = isSignedBy(keys.current, grant, signature) || isSignedBy(keys.previous, grant, signature);
  return isGood && now < Number(expires) * 1_000 ? owner : undefined;
}

/** Longest part of a link that we make. */
export const SIGNED_LENGTH = 255;

const signed = z.object({
  owner: z.string().min(1).max(SIGNED_LENGTH),
  expires: z.string().regex(/^[1-9]\d{0,10}$/),
  signature: z.string().max(SIGNED_LENGTH),
});

const contentPathOf = (fileId: string) => `/files/${encodeURIComponent(fileId.toWellFormed())}/content`;

/** A link for GET allows HEAD too. */
const methodOf = ({ method }: LinkRequest) => (method === 'HEAD' ? 'GET' : method);

/** Signs JSON, so that no two grants have the same text. */
const signLink = ({ method, path, owner, expires }: Grant, key: string): string =>
  createHmac('sha256', key)
    .update(JSON.stringify([method, path, owner, expires]))
    .digest('base64url');

/** Compares the texts, because the same bytes have several spellings in base64url. */
function isSignedBy(key: string | undefined, grant: Grant, signature: string): boolean {
  if (key === undefined) return false;
  const [expected, given] = [Buffer.from(signLink(grant, key)), Buffer.from(signature)];
  return expected.length === given.length && timingSafeEqual(expected, given);
}
