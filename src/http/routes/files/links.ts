import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** Keys of the signatures of links; both at least 32 bytes. */
export interface LinkKeys {
  readonly current: string;
  readonly previous?: string;
}

/** What whoever has a link may do, on whose behalf, and until when. */
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

/** A URL by which anybody gets the file until then, to the second, as its owner would. */
export function linkTo({ publicUrl, fileId, owner, expires: date }: LinkedFile, keys: LinkKeys): string {
  const expires = String(Math.floor(date.getTime() / 1_000));
  const path = contentPathOf(fileId);
  const signature = signLink({ method: 'GET', path, owner, expires }, keys.current);
  return `${publicUrl}${path}?${new URLSearchParams({ owner, expires, signature }).toString()}`;
}

export interface LinkRequest {
  readonly method: string;
  readonly fileId: string;
  /** As it came: anything may be in it. */
  readonly query: unknown;
}

/** The account on whose behalf the file is asked for; undefined unless one of the keys has signed just that, in time. */
export function ownerByLink(request: LinkRequest, keys: LinkKeys, now = Date.now()): string | undefined {
  const query = signed.safeParse(request.query).data;
  if (!query) return undefined;
  const { owner, expires, signature } = query;
  const grant = { method: methodOf(request), path: contentPathOf(request.fileId), owner, expires };
  const isGood = isSignedBy(keys.current, grant, signature) || isSignedBy(keys.previous, grant, signature);
  return isGood && now < Number(expires) * 1_000 ? owner : undefined;
}

/** Of each part of a link: none that we make is longer. */
export const SIGNED_LENGTH = 255;

const signed = z.object({
  owner: z.string().min(1).max(SIGNED_LENGTH),
  expires: z.string().regex(/^[1-9]\d{0,10}$/),
  signature: z.string().max(SIGNED_LENGTH),
});

const contentPathOf = (fileId: string) => `/files/${encodeURIComponent(fileId.toWellFormed())}/content`;

/** Whoever may have the file may have its head. */
const methodOf = ({ method }: LinkRequest) => (method === 'HEAD' ? 'GET' : method);

/** Over JSON: no two grants read the same. */
const signLink = ({ method, path, owner, expires }: Grant, key: string): string =>
  createHmac('sha256', key)
    .update(JSON.stringify([method, path, owner, expires]))
    .digest('base64url');

/** Compares the texts, for the same bytes can be written in more than one way. */
function isSignedBy(key: string | undefined, grant: Grant, signature: string): boolean {
  if (key === undefined) return false;
  const [right, given] = [Buffer.from(signLink(grant, key)), Buffer.from(signature)];
  return right.length === given.length && timingSafeEqual(right, given);
}
