import type { Socket } from 'node:net';
import { startProxy } from './proxy.ts';

/** How the proxy treats an answer: it arrives, its connection breaks before it, or it never arrives. */
export type Fate = 'arrives' | 'cut' | 'never';

/** A proxy to a broker that can lose answers to produce requests. Everything else passes. */
export interface KafkaProxy {
  /** The address that the broker must advertise. */
  readonly address: string;
  /** Called for every answer to a produce request. */
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

/** Requests and answers alike begin with four bytes that hold the length of the rest. */
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
