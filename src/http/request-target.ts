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
