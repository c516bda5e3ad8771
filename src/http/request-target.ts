/**
 * The target of a request as it stands without a proxy: `/songs?x` of `http://host/songs?x`. Both name the same thing
 * (RFC 9112, 3.2), so all that looks at an address sees one form.
 */
export function originForm(target: string): string {
  const [authority] = /^https?:\/\/[^/?#]*/i.exec(target) ?? [];
  if (authority === undefined) return target;
  const rest = target.slice(authority.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** Without the query, and without a fragment, which the router leaves out as well. */
export const pathOf = (target: string): string => target.split(/[?#]/, 1)[0] ?? '';

/**
 * The same target where its path can be decoded. What cannot is taken for the text that it is: nothing has such a name, and so it is
 * answered with 404 by the route, its headers included, and not by the router, which runs no hooks.
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
