import { typeOf } from '../events/codec.ts';
import { showPosition } from '../events/record.ts';
import type { Winner } from '../event-store/judged-log.ts';
import { dataOf } from '../transfer/columns.ts';
import { decoded } from '../transfer/log-reading.ts';
import { shown } from './print.ts';

const COLUMNS = 100;

/** An event for people: two lines of at most a hundred columns. */
export const eventLines = (event: Winner): string => `${headline(event)}\n${cut(`    ${detailsOf(event)}`)}`;

/** When, what, of which stream. */
const headline = ({ envelope: { time, type, stream, version } }: Winner): string =>
  cut(`${time} ${typeOf(type)} ${shown(stream)} v${version}`);

function detailsOf(winner: Winner): string {
  const event = decoded(winner);
  const { record, envelope, payload } = event;
  const content = 'event' in payload ? JSON.stringify(dataOf(event)) : `cannot be decoded: ${payload.poison}`;
  return `${showPosition(record)} by ${shown(envelope.actor)} ${shown(content)}`;
}

/** In whole characters. */
export function cut(line: string, columns = COLUMNS): string {
  if (line.length <= columns) return line;
  const characters = Array.from(line);
  return characters.length <= columns ? line : `${characters.slice(0, columns - 1).join('')}…`;
}
