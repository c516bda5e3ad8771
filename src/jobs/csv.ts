/** What a spreadsheet takes for a formula, also behind blanks and quotes. */
const FORMULA = /^[\s"']*[=+\-@\t\r\n]/;
const NEEDS_QUOTES = /[",\r\n]/;

/** One line of CSV (RFC 4180) with its end. */
export const csvLine = (values: readonly (string | number | null)[]): string => `${values.map(cellOf).join(',')}\r\n`;

/** Text that a spreadsheet would calculate is made text for it by an apostrophe. Numbers are harmless. */
function cellOf(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  return quoted(FORMULA.test(value) ? `'${value}` : value);
}

const quoted = (text: string) => (NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
