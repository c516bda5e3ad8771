import { domainToASCII } from 'node:url';

/** As SMTP counts them: of a local part, of an address. */
const LOCAL_MOST = 64;
const ADDRESS_MOST = 254;

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LOCAL = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`);
/** Letters and digits of any script, and hyphens within. */
const LABEL = /^[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?$/u;
const ASCII_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** One plain address, without a name, comment, quotes or list; its domain in any script. */
export const isAddress = (text: string): boolean => asciiAddress(text) !== undefined;

/** The address as SMTP and headers take it, its domain in ASCII; undefined when the text is not one address. */
export function asciiAddress(text: string): string | undefined {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, Math.max(at, 0));
  const domain = asciiDomain(text.slice(at + 1));
  if (domain === undefined || local.length > LOCAL_MOST || !LOCAL.test(local)) return undefined;
  const address = `${local}@${domain}`;
  return address.length > ADDRESS_MOST ? undefined : address;
}

/** As it is written, in lower case; of an address that `isAddress` takes. */
export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1).toLowerCase();

function asciiDomain(text: string): string | undefined {
  if (text.length > ADDRESS_MOST || !text.split('.').every((label) => LABEL.test(label))) return undefined;
  const domain = domainToASCII(text);
  const labels = domain.split('.');
  return labels.every((label) => ASCII_LABEL.test(label)) && isNameOfHost(domain, labels) ? domain : undefined;
}

/** A single name is nobody's on the internet, except for trying things out; what ends in digits is no name. */
const isNameOfHost = (domain: string, labels: readonly string[]) =>
  domain === 'localhost' || (labels.length > 1 && /[a-z]/.test(labels.at(-1) ?? ''));

const MAX_LENGTH = 500;
/** A local part in quotes with its domain; or a word, and what stands in brackets right after its `@`. */
const WORDS = /"[^"]*"@[^\s<>()\]",;:]*|[^\s<>()[\]",;:]+(?:(?<=@)\[[^\s<>()\]",;:]*\]?)?/g;

/**
 * Servers repeat the address they speak of; what is said here may be kept where nothing personal is. Gives at most 500
 * characters. Each word is looked at once: a search for addresses tries every place of a long word as their beginning.
 */
export const withoutAddresses = (text: string): string =>
  text.replace(WORDS, (word) => (word.includes('@') ? '(address)' : word)).slice(0, MAX_LENGTH);
