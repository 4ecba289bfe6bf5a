import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createAcknowledgements } from '../../src/replica/acknowledgements.ts';

const longMs = 60_000;

describe('a write is applied', () => {
  test('when every worker has acknowledged its revision', async () => {
    const acks = createAcknowledgements();
    acks.join(1, 4);
    acks.join(2, 4);
    const waiting = acks.whenApplied(5, longMs);
    acks.acknowledge(1, 5);
    assert.equal(acks.applied(), 4);
    acks.acknowledge(2, 6);
    assert.equal(await waiting, true);
    assert.equal(acks.applied(), 5);
  });

  test('at once when it already was', async () => {
    const acks = createAcknowledgements();
    acks.join(1, 7);
    assert.equal(await acks.whenApplied(7, longMs), true);
  });

  test('when the worker that lagged has died', async () => {
    const acks = createAcknowledgements();
    acks.join(1, 1);
    acks.join(2, 2);
    const waiting = acks.whenApplied(2, longMs);
    acks.leave(1);
    assert.equal(await waiting, true);
  });

  test('when no worker is left that could serve anything older', async () => {
    const acks = createAcknowledgements();
    acks.join(1, 1);
    const waiting = acks.whenApplied(2, longMs);
    acks.leave(1);
    assert.equal(await waiting, true);
    assert.equal(acks.applied(), undefined);
  });
});

test('a worker that joins with an old revision is waited for', async () => {
  const acks = createAcknowledgements();
  acks.join(1, 9);
  acks.join(2, 8);
  assert.equal(await acks.whenApplied(9, 1), false);
});

test('the wait ends with false when the time is over, and a late acknowledgement does no harm', async () => {
  const acks = createAcknowledgements();
  acks.join(1, 1);
  assert.equal(await acks.whenApplied(2, 1), false);
  acks.acknowledge(1, 2);
  assert.equal(acks.applied(), 2);
});

test('none counts from a worker that has not joined', () => {
  const acks = createAcknowledgements();
  acks.acknowledge(3, 100);
  acks.join(1, 5);
  assert.equal(acks.applied(), 5);
});

test('when the store was put back to an older state, its revisions are applied when they are, not because of those before', async () => {
  const acks = createAcknowledgements();
  acks.join(1, 9);
  acks.acknowledge(1, 3);
  assert.equal(acks.applied(), 3);
  const waiting = acks.whenApplied(4, longMs);
  acks.acknowledge(1, 4);
  assert.equal(await waiting, true);
});
