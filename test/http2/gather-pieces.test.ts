// Pieces that nobody reads are gathered; nothing is lost, nothing changes its place.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { GatheredPieces } from '../../src/http2/gather-pieces.ts';

function makeStream(): Readable {
  return new Readable({ read() {} });
}

test('60,000 pieces of one byte become few', async () => {
  const stream = makeStream();
  const pieces = new GatheredPieces(stream);
  for (let index = 0; index < 60_000; index += 1) stream.push(Buffer.of(index % 251));
  stream.push(null);
  pieces.pass();
  const read: Buffer[] = [];
  for await (const piece of stream) read.push(piece as Buffer);
  assert.ok(read.length < 20, `${read.length} pieces`);
  assert.deepEqual(Buffer.concat(read), Buffer.from(Array.from({ length: 60_000 }, (_, index) => index % 251)));
});

test('whatever is pushed, read and left in between comes out as it went in', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(fc.nat(9000), fc.constantFrom('pass', 'gather', 'turn'))), async (steps) => {
      const stream = makeStream();
      const pieces = new GatheredPieces(stream);
      const read: Buffer[] = [];
      stream.on('data', (piece: Buffer) => read.push(piece));
      const pushed: Buffer[] = [];
      for (const step of steps) {
        if (step === 'pass') pieces.pass();
        else if (step === 'gather') pieces.gather();
        else if (step === 'turn') await new Promise(setImmediate);
        else {
          const piece = Buffer.alloc(step, pushed.length);
          pushed.push(piece);
          stream.push(piece);
        }
      }
      stream.push(null);
      await new Promise((resolve) => stream.once('end', resolve));
      assert.ok(Buffer.concat(read).equals(Buffer.concat(pushed)));
    }),
    { numRuns: 200 },
  );
});
