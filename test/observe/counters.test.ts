// What a process counts: every call shows in the snapshot, and nowhere else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { createCounters, latencyBoundsMs } from '../../src/observe/counters.ts';

test('a new block counts nothing', () => {
  const snapshot = createCounters().snapshot();
  assert.deepEqual(snapshot.requests, {});
  assert.equal(total(snapshot.requestDuration.buckets), 0);
  assert.ok(snapshot.handshakes.every(({ count }) => count === 0));
});

test('open connections go up and down, accepted ones only up', () => {
  const counters = createCounters();
  counters.connectionOpened(true);
  counters.connectionOpened(true);
  counters.connectionOpened(false);
  counters.connectionClosed(true);
  const { connectionsOpen, connectionsAccepted } = counters.snapshot();
  assert.deepEqual(connectionsOpen, { plain: 1, tls: 1 });
  assert.deepEqual(connectionsAccepted, { plain: 1, tls: 2 });
});

test('handshakes are counted by version and resumption, failures by reason', () => {
  const counters = createCounters();
  counters.handshakeDone('TLSv1.3', true);
  counters.handshakeDone('TLSv1.2', false);
  counters.handshakeDone('TLSv1.9', false);
  counters.handshakeFailed('plain-http');
  const { handshakes, handshakeFailures } = counters.snapshot();
  assert.deepEqual(
    handshakes.filter(({ count }) => count > 0),
    [
      { version: 'TLSv1.2', resumed: false, count: 1 },
      { version: 'TLSv1.3', resumed: true, count: 1 },
      { version: 'other', resumed: false, count: 1 },
    ],
  );
  assert.equal(handshakeFailures['plain-http'], 1);
  assert.equal(total(Object.values(handshakeFailures)), 1);
});

test('limits that clients met are counted by the setting', () => {
  const counters = createCounters();
  counters.limitReached('handshake_rate');
  counters.limitReached('client_pending_max_size');
  counters.limitReached('client_pending_max_size');
  const { limitsReached } = counters.snapshot();
  assert.equal(limitsReached.handshake_rate, 1);
  assert.equal(limitsReached.client_pending_max_size, 2);
  assert.equal(total(Object.values(limitsReached)), 3);
});

test('contexts and upstream connections are counted by what happened to them', () => {
  const counters = createCounters();
  counters.contextHit();
  counters.contextMade(true);
  counters.contextMade(false);
  counters.contextEvicted();
  counters.upstreamConnection(false);
  counters.upstreamConnection(true);
  counters.upstreamFailed('reset');
  counters.accessLinesDropped(3);
  const snapshot = counters.snapshot();
  assert.deepEqual(snapshot.contexts, { hit: 1, made: 1, unusable: 1, evicted: 1 });
  assert.deepEqual(snapshot.upstreamConnections, { opened: 1, reused: 1 });
  assert.equal(snapshot.upstreamFailures.reset, 1);
  assert.equal(snapshot.accessLinesDropped, 3);
});

test('a request without an upstream counts no upstream latency', () => {
  const counters = createCounters();
  counters.requestDone(404, 1, -1);
  counters.requestDone(200, 3, 2);
  const snapshot = counters.snapshot();
  assert.deepEqual(snapshot.requests, { '200': 1, '404': 1 });
  assert.equal(snapshot.requestDuration.sumMs, 4);
  assert.equal(snapshot.upstreamDuration.sumMs, 2);
  assert.equal(total(snapshot.upstreamDuration.buckets), 1);
});

test('a status that does not exist is ignored', () => {
  const counters = createCounters();
  counters.requestDone(0, 1, -1);
  counters.requestDone(1000, 1, -1);
  counters.requestDone(Number.NaN, 1, -1);
  assert.deepEqual(counters.snapshot().requests, {});
});

test('a latency falls in the first bucket whose bound it does not exceed', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 120_000, noNaN: true }), (ms) => {
      const counters = createCounters();
      counters.requestDone(200, ms, -1);
      const expected = latencyBoundsMs.findIndex((bound) => ms <= bound);
      const { buckets } = counters.snapshot().requestDuration;
      assert.equal(buckets.indexOf(1), expected === -1 ? latencyBoundsMs.length : expected);
      assert.equal(total(buckets), 1);
    }),
  );
});

test('a snapshot is a copy that survives JSON and structured clone', () => {
  const counters = createCounters();
  counters.requestDone(200, 3, 2);
  const snapshot = counters.snapshot();
  const before = structuredClone(snapshot);
  counters.requestDone(200, 3, 2);
  assert.deepEqual(snapshot, before);
  assert.deepEqual(JSON.parse(JSON.stringify(snapshot)), before);
});

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
