/** One line of a page's shell blocks. */
export type Step =
  /** A command, and the status in its comment; 2xx where it has none. */
  | { readonly kind: 'run'; readonly command: string; readonly status: number | undefined }
  /** A variable with a value of the answer before: from a header, or from its body. */
  | {
      readonly kind: 'take';
      readonly name: string;
      readonly from: { readonly header: string } | { readonly path: string };
    };

/** The steps of every block of a Markdown text that begins with a command, in order; continued lines are one. */
export function stepsOf(markdown: string): Step[] {
  const blocks = [...markdown.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
  const lines = blocks.flatMap((block) =>
    block
      .replaceAll(/\\\n\s*/g, '')
      .trim()
      .split('\n'),
  );
  return lines.flatMap((line) => stepOf(line));
}

function stepOf(line: string): Step[] {
  const [, command = '', comment = ''] = /^(.*?)(?:\s{4,}# (.*))?$/.exec(line) ?? [];
  const variable = /^(\w+)=/.exec(command)?.[1];
  if (variable !== undefined) return [{ kind: 'take', name: variable, from: sourceOf(comment) }];
  if (!/^(curl|npm run (seed|openmusic)) ?/.test(command)) return [];
  const status = /^\d{3}/.exec(comment)?.[0];
  return [{ kind: 'run', command, status: status === undefined ? undefined : Number(status) }];
}

/** `the header etag`, or `data.albumId: what it is`. */
function sourceOf(comment: string): { header: string } | { path: string } {
  const header = /^the header ([\w-]+)/.exec(comment)?.[1];
  return header === undefined ? { path: comment.replace(/[:;,].*$/, '') } : { header };
}

/** The value at a path such as `data.playlists[0].id`. */
export function valueAt(body: unknown, path: string): string {
  const found = path
    .split(/[.[\]]+/)
    .filter((key) => key !== '')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], body);
  if (typeof found !== 'string') throw new Error(`There is no ${path} in ${JSON.stringify(body)}`);
  return found;
}
