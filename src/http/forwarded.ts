import { isIPv4, isIPv6 } from 'node:net';
import type { onRequestHookHandler } from 'fastify';

/**
 * Removes ports from `X-Forwarded-For` before the client's address is used. Some proxies send `203.0.113.9:4711`, which would make
 * each connection another sender, and a trusted proxy with a port would not be recognised.
 */
export const withoutPorts: onRequestHookHandler = ({ raw: { headers } }, _reply, next) => {
  const forwarded = headers['x-forwarded-for'];
  if (typeof forwarded === 'string') headers['x-forwarded-for'] = forwarded.split(',').map(addressIn).join(',');
  next();
};

/** `203.0.113.9` of `203.0.113.9:4711`, `2001:db8::9` of `"[2001:db8::9]:4711"`. A bare IPv6 address has no port, and a name is left unchanged. */
function addressIn(entry: string): string {
  const text = entry.trim().replace(/^"([^"]*)"$/, '$1');
  const [, bracketed] = /^\[([^\]]*)\](?::[\w.-]*)?$/.exec(text) ?? [];
  if (bracketed !== undefined && (isIPv6(bracketed) || isIPv4(bracketed))) return bracketed;
  const [, address, rest] = /^([\d.]{7,15})(:[\w.-]*)?$/.exec(text) ?? [];
  return address !== undefined && rest !== undefined && isIPv4(address) ? address : text;
}
