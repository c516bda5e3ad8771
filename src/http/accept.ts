const JSON_RANGES = ['application/json', 'application/*', '*/*'];
const PROBLEM = 'application/problem+json';

/**
 * Whether a client prefers problem details to plain JSON: it names them, with at least the same weight (RFC 9110, 12.5.1). At equal
 * weights it gets problem details, because only a client that knows them names them.
 */
export function prefersProblemDetails(accept: string | undefined): boolean {
  const wanted = accept?.toLowerCase();
  if (!wanted?.includes(PROBLEM)) return false;
  const weights = new Map(wanted.split(',').map(weighed));
  const problem = weights.get(PROBLEM) ?? 0;
  // The most specific range that covers JSON gives its weight.
  const json = JSON_RANGES.map((range) => weights.get(range)).find((weight) => weight !== undefined) ?? 0;
  return problem > 0 && problem >= json;
}

/** Whether a client names the media type in `Accept`. */
export const accepts = (accept: string | undefined, type: string): boolean => weightOf(accept, type) > 0;

/** Whether a client names gzip in `Accept-Encoding`. */
export const acceptsGzip = (encodings: string | string[] | undefined): boolean =>
  weightOf([encodings ?? ''].flat().join(','), 'gzip') > 0;

/** The weight that a header gives to exactly this value; 0 when it does not name it. */
const weightOf = (header = '', value: string): number =>
  new Map(header.toLowerCase().split(',').map(weighed)).get(value) ?? 0;

/** A range and its weight. A missing or invalid weight counts as 1. */
function weighed(part: string): [range: string, weight: number] {
  const [range = '', ...parameters] = part.split(';').map((each) => each.trim());
  const given = parameters.find((each) => each.startsWith('q='))?.slice(2);
  return [range, given !== undefined && /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(given) ? Number(given) : 1];
}
