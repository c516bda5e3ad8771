import { describe, expect, it } from '@jest/globals';
import { type Caused, causationTree } from './trace.ts';

interface Event {
  readonly id: string;
  readonly stream?: string;
  readonly prev?: string;
  readonly commandId?: string;
  readonly correlationId?: string;
  readonly causationId?: string;
}

const linksOf = ({ id, stream = `album-${id}`, prev = '', commandId = `command of ${id}`, correlationId = 'request', causationId = commandId }: Event) =>
  ({ id, stream, prev, commandId, correlationId, causationId }); // prettier-ignore

const shapeOf = (trees: readonly Caused<Event>[]): unknown[] =>
  trees.map(({ event, children }) => (children.length === 0 ? event.id : [event.id, ...shapeOf(children)]));

const tree = (...events: Event[]) => shapeOf(causationTree(events, linksOf));

describe('a tree of causes', () => {
  it('begins with events of which only their own command is the cause', () => {
    expect(tree({ id: 'a' }, { id: 'b' })).toEqual(['a', 'b']);
  });

  it('places an event under the record that its causation id names, or under the record of that command', () => {
    expect(tree({ id: 'a' }, { id: 'b', causationId: 'a' }, { id: 'c', causationId: 'command of b' })).toEqual([
      ['a', ['b', 'c']],
    ]);
  });

  it('places the work of a job, in any topic, under the request for the job', () => {
    const requested = { id: 'requested', stream: 'job-1' };
    const started = { id: 'started', stream: 'job-1', prev: 'requested', correlationId: 'job-1' };
    const song = { id: 'song', correlationId: 'job-1' };
    expect(tree(requested, started, song)).toEqual([['requested', 'started', 'song']]);
  });

  it('places an event under the one before it in its stream where nothing else is known', () => {
    expect(tree({ id: 'a', stream: 's' }, { id: 'b', stream: 's', prev: 'a' })).toEqual([['a', 'b']]);
  });

  it('shows every event once, also where records name each other as causes', () => {
    expect(tree({ id: 'a', causationId: 'b' }, { id: 'b', causationId: 'a' })).toEqual([['a', 'b']]);
  });
});
