import type { Decider } from '../../src/commands/decider.ts';
import { AppError } from '../../src/errors.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { REFUSED_YEAR } from './postgres.ts';

/** The labels of all events of the stream so far: they show what the state was folded from. */
export interface Trail {
  readonly labels: readonly string[];
}

export interface Step {
  readonly label: string;
  /** The decider rejects a longer trail. */
  readonly atMost: number;
  readonly poison: boolean;
}

/** Writes into every event what its state was folded from. */
export const trail: Decider<{ category: 'album'; state: Trail; command: Step; context: undefined }> = {
  category: 'album',
  initial: { labels: [] },
  evolve: (state, event) => ({ labels: [...state.labels, labelOf(event)] }),
  decide(albumId, { label, atMost, poison }, { labels }) {
    if (labels.length > atMost) throw new AppError('rejected', 'TOO_LONG', `${labels.length} events are too many.`);
    return { type: 'AlbumChanged', albumId, name: [label, ...labels].join(' '), year: poison ? REFUSED_YEAR : 2000 };
  },
};

const nameOf = (event: AnyEvent): string => ('name' in event ? event.name : '');

const labelOf = (event: AnyEvent): string => nameOf(event).split(' ', 1)[0] ?? '';

/** The labels that the event's state was folded from. */
export const basisOf = (event: AnyEvent): string => nameOf(event).split(' ').slice(1).join(' ');
