/** What a spreadsheet does not show, or skips before a formula. No end of a cell is among them. */
const SKIPPED = String.raw`"' \u00a0\p{Zs}\p{Zl}\p{Zp}\p{Cf}\p{DI}\u2800\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f`;
/** With their forms of full and of small width, which East Asian editions take for the same. */
const SIGNS = String.raw`=+\-@＝＋－＠﹦﹢﹣﹫`;

/** What a spreadsheet takes for a formula. */
const FORMULA = new RegExp(String.raw`^[${SKIPPED}\t\r\n]*[${SIGNS}\t\r\n]`, 'u');
/** Where a spreadsheet that separates cells by semicolons or tabs begins another, for our quotes mean nothing to it there. */
const INNER_FORMULA = new RegExp(String.raw`[;\t\r\n](?=[${SKIPPED}]*[${SIGNS}])`, 'gu');
const NEEDS_QUOTES = /[",\r\n]/;

/** One line of CSV (RFC 4180) with its end. */
export const csvLine = (values: readonly (string | number | null)[]): string => `${values.map(cellOf).join(',')}\r\n`;

/** Text that a spreadsheet would calculate is made text for it by an apostrophe. Numbers are harmless. */
function cellOf(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const harmless = value.replace(INNER_FORMULA, "$&'");
  return quoted(FORMULA.test(value) ? `'${harmless}` : harmless);
}

const quoted = (text: string) => (NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
