const JSON_RANGES = ['application/json', 'application/*', '*/*'];
const PROBLEM = 'application/problem+json';

/**
 * Whether a client would have problem details rather than plain JSON: it names them, and weighs them no less (RFC 9110, 12.5.1).
 * Of both at the same weight it gets the one that only those know who ask for it.
 */
export function prefersProblemDetails(accept: string | undefined): boolean {
  const wanted = accept?.toLowerCase();
  if (!wanted?.includes(PROBLEM)) return false;
  const weights = new Map(wanted.split(',').map(weighed));
  const problem = weights.get(PROBLEM) ?? 0;
  // The most specific range that covers JSON is what is said of it.
  const json = JSON_RANGES.map((range) => weights.get(range)).find((weight) => weight !== undefined) ?? 0;
  return problem > 0 && problem >= json;
}

/** A range and its weight. A weight that is none counts as 1, as if it were not given. */
function weighed(part: string): [range: string, weight: number] {
  const [range = '', ...parameters] = part.split(';').map((each) => each.trim());
  const given = parameters.find((each) => each.startsWith('q='))?.slice(2);
  return [range, given !== undefined && /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(given) ? Number(given) : 1];
}
