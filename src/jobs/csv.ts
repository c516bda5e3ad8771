/** Characters that a spreadsheet does not show, or skips before a formula. None of them ends a cell. */
const SKIPPED = String.raw`"' \u00a0\p{Zs}\p{Zl}\p{Zp}\p{Cf}\p{DI}\u2800\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f`;
/** Signs that begin a formula, with their full-width and small forms, which East Asian editions accept too. */
const SIGNS = String.raw`=+\-@＝＋－＠﹦﹢﹣﹫`;

/** A cell that a spreadsheet reads as a formula. */
const FORMULA = new RegExp(String.raw`^[${SKIPPED}\t\r\n]*[${SIGNS}\t\r\n]`, 'u');
/** A spreadsheet that separates cells by semicolons or tabs begins another cell here, because it ignores our quotes in that place. */
const INNER_FORMULA = new RegExp(String.raw`[;\t\r\n](?=[${SKIPPED}]*[${SIGNS}])`, 'gu');
const NEEDS_QUOTES = /[",\r\n]/;

/** One line of CSV (RFC 4180) with its line end. */
export const csvLine = (values: readonly (string | number | null)[]): string => `${values.map(cellOf).join(',')}\r\n`;

/** An apostrophe keeps a spreadsheet from calculating a text. Numbers are harmless. */
function cellOf(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const harmless = value.replace(INNER_FORMULA, "$&'");
  return quoted(FORMULA.test(value) ? `'${harmless}` : harmless);
}

const quoted = (text: string) => (NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
