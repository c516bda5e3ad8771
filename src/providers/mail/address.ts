import { domainToASCII } from 'node:url';

/** Longest local part and longest address in SMTP, in characters. */
const MAX_LOCAL = 64;
const MAX_ADDRESS = 254;

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LOCAL = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`);
/** Letters and digits of any script, with hyphens inside. */
const LABEL = /^[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?$/u;
const ASCII_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether the text is one plain address, without a name, comment, quotes or list. Its domain may be in any script. */
export const isAddress = (text: string): boolean => asciiAddress(text) !== undefined;

/** Gives the address with its domain in ASCII, as SMTP and headers need it. Undefined when the text is not one address. */
export function asciiAddress(text: string): string | undefined {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, Math.max(at, 0));
  const domain = asciiDomain(text.slice(at + 1));
  if (domain === undefined || local.length > MAX_LOCAL || !LOCAL.test(local)) return undefined;
  const address = `${local}@${domain}`;
  return address.length > MAX_ADDRESS ? undefined : address;
}

/** Gives the domain in lower case. The address must pass `isAddress`. */
export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1).toLowerCase();

function asciiDomain(text: string): string | undefined {
  if (text.length > MAX_ADDRESS || !text.split('.').every((label) => LABEL.test(label))) return undefined;
  const domain = domainToASCII(text);
  const labels = domain.split('.');
  return labels.every((label) => ASCII_LABEL.test(label)) && isHostName(domain, labels) ? domain : undefined;
}

/** A host name has several labels and does not end in digits. `localhost` is accepted for trying things out. */
const isHostName = (domain: string, labels: readonly string[]) =>
  domain === 'localhost' || (labels.length > 1 && /[a-z]/.test(labels.at(-1) ?? ''));

const MAX_LENGTH = 500;
/** A quoted local part with its domain, or a word with an address in brackets right after its `@`. */
const WORDS = /"[^"]*"@[^\s<>()\]",;:]*|[^\s<>()[\]",;:]+(?:(?<=@)\[[^\s<>()\]",;:]*\]?)?/g;

/**
 * Removes addresses from a text, at most 500 characters of which are given back. Servers repeat addresses in their answers, and
 * answers are stored where nothing personal may be. The text is matched word by word, in linear time: a pattern of addresses would
 * try each position of a long word as the beginning of one.
 */
export const withoutAddresses = (text: string): string =>
  text.replace(WORDS, (word) => (word.includes('@') ? '(address)' : word)).slice(0, MAX_LENGTH);
