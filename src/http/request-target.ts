/**
 * The origin form of a request target: `/songs?x` of `http://host/songs?x`. Both name the same resource (RFC 9112, 3.2), and the
 * rest of the code has to handle one form only.
 */
export function originForm(target: string): string {
  const [authority] = /^https?:\/\/[^/?#]*/i.exec(target) ?? [];
  if (authority === undefined) return target;
  const rest = target.slice(authority.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The target without its query, and without a fragment, which the router ignores as well. */
export const pathOf = (target: string): string => target.split(/[?#]/, 1)[0] ?? '';

/**
 * The same target when its path can be decoded; otherwise the path with its `%` escaped. No resource has such a name, so the route
 * answers 404 with all headers. The router's own error would run no hooks.
 */
export function decodable(target: string): string {
  const path = pathOf(target);
  if (!path.includes('%')) return target;
  try {
    decodeURIComponent(path);
    return target;
  } catch {
    return path.replaceAll('%', '%25') + target.slice(path.length);
  }
}
