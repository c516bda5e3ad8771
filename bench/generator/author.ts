import { createHmac } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { encodeEvent, subjectOf } from '../../src/events/codec.ts';
import { toRecord } from '../../src/events/envelope.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { commandIdOf, idFromCommand } from '../../src/events/ids.ts';
import type { Placement } from '../../src/events/placement.ts';
import type { Append } from '../../src/log/event-log.ts';
import type { Chance } from './chance.ts';

/** The sender of a command, as its record will name it. */
export interface Origin {
  readonly commandId: string;
  readonly correlationId: string;
  readonly bodyHash: string;
  /** Account id, or `anonymous`. */
  readonly actor: string;
}

/** The claim to a version of a stream. */
export interface Claim {
  readonly stream: string;
  readonly version: number;
  /** Id of the stream's head. */
  readonly prev: string;
  readonly origin: Origin;
  readonly event: AnyEvent;
}

/** Creates records as the write side does, with a random clock and random ids. */
export interface Author {
  readonly chance: Chance;
  /** A command that arrives now, by default anonymous. One in five has an idempotency key. */
  receive(actor?: string): Origin;
  /** A unique id of that category. */
  name(category: string): string;
  /** The record of a claim, and its id. */
  write(claim: Claim): { readonly append: Append; readonly id: string };
}

const KEYED_OF_100 = 20;
const HASH_KEY = 'of generated logs, which keep no secrets';
const MAX_MS_BETWEEN_COMMANDS = 20;

export function createAuthor(chance: Chance, placement: Placement, startAt: number): Author {
  let now = startAt;
  const newId = () => uuidv7({ msecs: now, random: chance.bytes() });

  function receive(actor = 'anonymous'): Origin {
    now += chance.below(MAX_MS_BETWEEN_COMMANDS + 1);
    const correlationId = newId();
    if (chance.below(100) >= KEYED_OF_100) return { commandId: newId(), correlationId, bodyHash: '', actor };
    const commandId = commandIdOf(actor, 'POST', '/generated', correlationId);
    return { commandId, correlationId, bodyHash: hashOf(correlationId), actor };
  }

  function write({ stream, version, prev, origin, event }: Claim) {
    const id = newId();
    const envelope = {
      id,
      type: subjectOf(event.type),
      stream,
      time: new Date(now).toISOString(),
      version,
      prev,
      causationId: origin.commandId,
      ...origin,
    };
    return { append: { ...placement.place(stream), record: toRecord(envelope, encodeEvent(event)) }, id };
  }

  return { chance, receive, write, name: (category) => idFromCommand(category, newId()) };
}

/** A random value in the form of a body's hash, because there is no body. */
const hashOf = (text: string): string => createHmac('sha256', HASH_KEY).update(text).digest('base64url');
