// A sender that sends as fast as it is let.
import type { Writable } from 'node:stream';

const block = Buffer.alloc(1024 * 1024, 'x');

/**
 * @param total a multiple of 1 MiB
 * @param done all of it is written
 * @returns how much the stream was given so far
 */
export function flood(stream: Writable, total: number, done?: () => void): { readonly written: number } {
  const sent = { written: 0 };
  const more = (): void => {
    while (sent.written < total) {
      sent.written += block.length;
      if (!stream.write(block)) return void stream.once('drain', more);
    }
    done?.();
  };
  more();
  return sent;
}
