/** Parts parted by `/`, of letters, digits, `_`, `-` and `.`, that begin with neither of the last two. */
const NAME = /^\w[\w.-]*(?:\/\w[\w.-]*)*$/;

export const isName = (text: string): boolean => NAME.test(text);

/** Names are ours, and yet no name leads out of the place where files are. */
export function mustBeName(text: string): string {
  if (!isName(text)) throw new Error(`${JSON.stringify(text)} is no name of a file`);
  return text;
}
