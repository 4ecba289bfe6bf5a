// What is forwarded is read by other servers as we read it: method, target, fields, body and where the next request begins.
// Those that are not installed are passed over, with a word.
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { takenRequests } from '../http1/taken-requests.ts';
import { type GoRequest, readGoRequests } from '../support/go-requests.ts';
import { peers } from '../support/peer-readers.ts';
import { endToEnd, startForwarder } from './forwarded-requests.ts';

/** What was forwarded for one message, and what it is. */
interface Forwarded {
  readonly name: string;
  readonly bytes: string;
  readonly requests: readonly GoRequest[];
}

/** What a peer refuses rather than reads, which is its right. */
const refusals: Readonly<Record<keyof typeof peers, readonly string[]>> = {
  'node:http': [
    'a method of its own',
    'a method in lower case, which is another method',
    'a method of every token character',
    'a method of 32 characters',
  ],
  nginx: [
    'a method of its own',
    'a method in lower case, which is another method',
    'a method of every token character',
    'an asterisk',
  ],
  HAProxy: [],
};

suite('what is forwarded is read as we read it', () => {
  const all: Forwarded[] = [];

  before(async () => {
    await using forwarder = await startForwarder();
    for (const { name, message, bodies } of takenRequests) {
      const bytes = await forwarder.forward(message, bodies.length);
      // Nothing is sent behind these before their answer, so there is no boundary to be read.
      if (/^Upgrade:/m.test(bytes)) continue;
      all.push({ name, bytes, requests: readGoRequests(bytes).requests });
    }
  });

  test('by the rules of Go', (context) => {
    context.diagnostic(`${all.length} messages`);
    for (const { name, bytes } of all) assert.equal(readGoRequests(bytes).rest, undefined, name);
  });

  for (const [peer, start] of Object.entries(peers)) {
    test(`by ${peer}`, async (context) => {
      await using reader = await start();
      if (reader === undefined) return context.skip(`${peer} is not installed`);
      const refused: string[] = [];
      for (const { name, bytes, requests } of all) {
        const read = await reader.read(bytes);
        if (read.refused) refused.push(name);
        else assert.deepEqual(read.requests.map(endToEnd), requests.map(endToEnd), name);
      }
      assert.deepEqual(refused, refusals[peer as keyof typeof peers]);
    });
  }
});
