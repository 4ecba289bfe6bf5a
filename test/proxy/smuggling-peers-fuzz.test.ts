// Requests one behind the other, generated and bent, through the gateway: other servers read what it forwards as it does.
// Those that are not installed are passed over, with a word.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { bodyOf, generatedRequest, writeRequest } from '../http1/generated-requests.ts';
import { bent, takenSeeds } from '../http1/mutations.ts';
import { readRequests } from '../http1/read-message.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { type GoRequest, readGoRequests } from '../support/go-requests.ts';
import { type PeerReader, peers } from '../support/peer-readers.ts';
import { endToEnd, startForwarder } from './forwarded-requests.ts';

const lists = fc.array(generatedRequest, { minLength: 1, maxLength: 5 });
const bentMessages = fc
  .array(bent(fc.oneof(fc.constantFrom(...takenSeeds), generatedRequest.map(writeRequest))), {
    minLength: 1,
    maxLength: 3,
  })
  .map((list) => list.join(''));

for (const [peer, start] of Object.entries(peers)) {
  test(`generated requests reach what is behind us whole and apart, by Go and by ${peer}`, async (context) => {
    await using reader = await start();
    if (reader === undefined) return context.skip(`${peer} is not installed`);
    await using forwarder = await startForwarder();
    const details = await fc.check(
      fc.asyncProperty(lists, async (list) => {
        const bytes = await forwarder.forward(list.map(writeRequest).join(''), list.length);
        const { requests, rest } = readGoRequests(bytes);
        assert.equal(rest, undefined);
        assert.deepEqual(
          requests.map(({ method, target, body, trailers }) => ({ method, target, body, trailers })),
          list.map((one) => ({ method: one.method, target: one.target, body: bodyOf(one), trailers: one.trailers })),
        );
        await assertReadAlike(reader, bytes, requests, false);
      }),
      fuzzBudget(context, 60),
    );
    assertHolds(details);
    context.diagnostic(`${details.numRuns} messages`);
  });

  test(`bent requests that are taken are read alike by ${peer}`, async (context) => {
    await using reader = await start();
    if (reader === undefined) return context.skip(`${peer} is not installed`);
    await using forwarder = await startForwarder();
    let taken = 0;
    const details = await fc.check(
      fc.asyncProperty(bentMessages, async (message) => {
        const { requests: ours, rest } = readRequests(message);
        if (rest !== undefined || ours.some(({ keepAlive }) => keepAlive === false)) return;
        const bytes = await forwarder.forward(message, ours.length);
        // Nothing is sent behind these before their answer, so there is no boundary to be read.
        if (/^Upgrade:/m.test(bytes)) return;
        taken += 1;
        const { requests, rest: behind } = readGoRequests(bytes);
        assert.equal(behind, undefined);
        assert.equal(requests.length, ours.length);
        await assertReadAlike(reader, bytes, requests, true);
      }),
      fuzzBudget(context, 400),
    );
    assertHolds(details);
    context.diagnostic(`${details.numRuns} messages, ${taken} taken`);
  });
}

/** @param mayRefuse what a peer has read before it refused is what we read */
async function assertReadAlike(
  reader: PeerReader,
  bytes: string,
  requests: readonly GoRequest[],
  mayRefuse: boolean,
): Promise<void> {
  const read = await reader.read(bytes);
  assert.ok(mayRefuse || !read.refused, 'it is taken');
  const expected = read.refused ? requests.slice(0, read.requests.length) : requests;
  assert.deepEqual(read.requests.map(endToEnd), expected.map(endToEnd));
}
