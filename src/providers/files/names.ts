/** Parts separated by `/`. A part has letters, digits, `_`, `-` and `.`, and begins with neither of the last two. */
const NAME = /^\w[\w.-]*(?:\/\w[\w.-]*)*$/;

export const isName = (text: string): boolean => NAME.test(text);

/** Throws on another name. OpenMusic makes the names; this check makes sure that none leads out of the store's directory. */
export function mustBeName(text: string): string {
  if (!isName(text)) throw new Error(`${JSON.stringify(text)} is not a file name`);
  return text;
}
