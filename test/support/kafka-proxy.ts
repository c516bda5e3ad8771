import type { Socket } from 'node:net';
import { startProxy } from './proxy.ts';

/** What becomes of an answer: it arrives, its connection breaks before it, or nothing ever comes. */
export type Fate = 'arrives' | 'cut' | 'never';

/** A way to a broker on which answers to produce requests can be lost. Everything else passes. */
export interface KafkaProxy {
  /** What the broker has to advertise. */
  readonly address: string;
  /** Asked about every answer to a produce request. */
  decide(fate: () => Fate): void;
  /** Answers lost so far. */
  lost(): number;
  close(): Promise<void>;
}

const PRODUCE = 0;

export async function startKafkaProxy(to: { host: string; port: number }): Promise<KafkaProxy> {
  let lost = 0;
  let fateOf = (): Fate => 'arrives';
  const proxy = await startProxy(to, ({ client, server, cut }) => {
    const produces = new Set<number>();
    onFrames(client, (frame) => {
      if (frame.readInt16BE(4) === PRODUCE) produces.add(frame.readInt32BE(8));
      server.write(frame);
    });
    onFrames(server, (frame) => {
      const fate = produces.delete(frame.readInt32BE(4)) ? fateOf() : 'arrives';
      if (fate === 'arrives') client.write(frame);
      else lost++;
      if (fate === 'cut') cut();
    });
  });
  return {
    address: `${proxy.host}:${proxy.port}`,
    decide: (fate) => void (fateOf = fate),
    lost: () => lost,
    close: () => proxy.close(),
  };
}

/** Requests and answers alike begin with four bytes that say how many follow. */
function onFrames(socket: Socket, frame: (bytes: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      frame(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  });
}
