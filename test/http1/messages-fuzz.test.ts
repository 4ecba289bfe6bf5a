// Messages of the corpus, bent: whatever our codec takes, a reader with other rules takes for the same or not at all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { errorCodes } from '../../src/lib/errors.ts';
import { fuzzBudget } from '../support/fuzz-budget.ts';
import { readGoRequests } from '../support/go-requests.ts';
import { bent, refusedResponseSeeds, refusedSeeds, takenResponseSeeds, takenSeeds } from './mutations.ts';
import { generatedRequest, writeRequest } from './generated-requests.ts';
import { readMessage, readRequests } from './read-message.ts';

const messages = bent(
  fc.oneof(
    fc.constantFrom(...refusedSeeds),
    { weight: 2, arbitrary: fc.constantFrom(...takenSeeds) },
    { weight: 2, arbitrary: generatedRequest.map(writeRequest) },
  ),
);
const streams = fc.array(messages, { minLength: 1, maxLength: 3 }).map((list) => list.join(''));
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 });

test('what is taken of a stream of bent requests is what Go’s rules take it for', (context) => {
  let taken = 0;
  const details = fc.check(
    fc.property(streams, (stream) => {
      const { requests, rest } = readRequests(stream);
      assertOutcome(rest?.outcome ?? 'ok');
      const go = readGoRequests(stream).requests;
      taken += requests.length;
      for (const [index, { startLine, fields, body, trailers }] of requests.entries()) {
        const other = go[index];
        if (other === undefined) return;
        assert.deepEqual(
          [startLine?.slice(0, startLine.lastIndexOf(' ')), fields, body, trailers],
          [`${other.method} ${other.target}`, other.fields, other.body, other.trailers],
        );
      }
    }),
    fuzzBudget(context, 2000),
  );
  assert.ok(!details.failed, fc.defaultReportMessage(details));
  context.diagnostic(`${details.numRuns} streams, ${taken} requests taken`);
});

test('whatever comes is a request, unfinished, or refused with a code; and no split changes which', (context) => {
  const details = fc.check(
    fc.property(messages, cuts, (message, lengths) => {
      const whole = readMessage('request', message);
      assertOutcome(whole.outcome);
      assert.deepEqual(readMessage('request', message, { cuts: lengths }), whole);
    }),
    fuzzBudget(context, 3000),
  );
  assert.ok(!details.failed, fc.defaultReportMessage(details));
});

test('whatever an upstream sends is a response, unfinished, or refused with a code; and no split changes which', (context) => {
  const responses = bent(fc.constantFrom(...refusedResponseSeeds, ...takenResponseSeeds));
  const details = fc.check(
    fc.property(responses, cuts, fc.constantFrom('GET', 'HEAD'), (message, lengths, method) => {
      const whole = readMessage('response', message, { method, closed: true });
      assertOutcome(whole.outcome);
      assert.deepEqual(readMessage('response', message, { cuts: lengths, method, closed: true }), whole);
    }),
    fuzzBudget(context, 2000),
  );
  assert.ok(!details.failed, fc.defaultReportMessage(details));
});

function assertOutcome(outcome: string): void {
  assert.ok(outcome === 'ok' || outcome === 'incomplete' || outcome in errorCodes, outcome);
}
