// Limits on connections and handshakes, without connections.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { createAddressLimits } from '../../src/proxy/address-limits.ts';
import { createConnectionLimit } from '../../src/proxy/connection-limit.ts';
import { createLimitReports, limitLogIntervalMs } from '../../src/proxy/limit-reports.ts';
import { rateOf, takeOne } from '../../src/proxy/rate.ts';
import { until } from '../support/until.ts';
import { startGateway } from './http1-gateway.ts';

test('no stretch of time holds more than the rate lets through in it and a burst', () => {
  const steps = fc.array(fc.record({ pauseMs: fc.nat(500), wanted: fc.nat(20) }), { maxLength: 50 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 0, max: 3000 }),
      steps,
      (perSecond, burstMs, all) => {
        const rate = rateOf(perSecond, burstMs);
        const taken: number[] = [];
        let madeUpAt = 0;
        let now = 5000;
        for (const { pauseMs, wanted } of all) {
          now += pauseMs;
          for (let count = 0; count < wanted; count += 1) {
            const next = takeOne(rate, madeUpAt, now);
            if (next === undefined) break;
            madeUpAt = next;
            taken.push(now);
          }
        }
        for (const [first, from] of taken.entries()) {
          for (const [last, to] of taken.entries()) {
            if (last < first) continue;
            const most = (to - from + rate.burstMs) / rate.eachMs;
            assert.ok(last - first + 1 <= most + 1e-6, `${last - first + 1} in ${to - from} ms`);
          }
        }
      },
    ),
  );
});

test('one at the rate is never refused, and there is always room for one after a pause', () => {
  const rate = rateOf(3, 0);
  let madeUpAt: number | undefined = 0;
  for (let now = 1000; now < 60_000; now += 1000 / 3 + 1e-6) {
    madeUpAt = takeOne(rate, madeUpAt, now);
    assert.ok(madeUpAt !== undefined, String(now));
  }
});

test('at the limit what does nothing makes room, once for each that comes, and nothing is promised twice', () => {
  const asked: number[] = [];
  let idle = 40;
  const limit = createConnectionLimit(320, (most) => {
    asked.push(most);
    const ended = Math.min(most, idle);
    idle -= ended;
    return ended;
  });
  for (let count = 0; count < 320; count += 1) assert.ok(limit.enter());
  assert.deepEqual(asked, []);
  for (let count = 0; count < 40; count += 1) assert.ok(limit.enter());
  assert.deepEqual(asked, [20, 20]);
  assert.equal(limit.enter(), false);
  for (let count = 0; count < 41; count += 1) limit.leave();
  assert.ok(limit.enter());
  assert.equal(limit.open, 320);
  assert.equal(limit.enter(), false);
});

test('where too few do nothing, looking for them takes a tenth of the time, however often there is no room', async () => {
  let time = 1000;
  let lookMs = 0;
  await using gateway = await startGateway({ now: () => (time += lookMs) });
  const { server } = gateway;
  const endIdleInMs = (ms: number): number => {
    lookMs = ms;
    const ended = server.endIdle(3);
    lookMs = 0;
    return ended;
  };
  const connectOne = async (): Promise<void> => {
    await gateway.connect();
    await until('a connection', () => server.activeConnections > 0);
  };
  await connectOne();
  assert.equal(endIdleInMs(5), 1);
  await until('it is gone', () => server.activeConnections === 0);
  await connectOne();
  const lookedAt = time;
  assert.equal(endIdleInMs(0), 0);
  time = lookedAt + 50;
  assert.equal(endIdleInMs(0), 1);
});

test('a promise that was not taken up lapses', () => {
  const limit = createConnectionLimit(32, (most) => most);
  for (let count = 0; count < 33; count += 1) assert.ok(limit.enter());
  limit.leave();
  limit.leave();
  assert.ok(limit.enter());
  assert.equal(limit.open, 32);
});

test('a /64 of IPv6 is one address', () => {
  const limits = createAddressLimits({ connectionsMax: 1, handshakes: undefined, rememberedMax: 1 }, () => 0);
  assert.ok(limits.enter('2001:db8::1'));
  assert.equal(limits.enter('2001:db8:0:0:ffff::2'), undefined);
  assert.ok(limits.enter('2001:db8:0:1::1'));
  assert.ok(limits.enter('192.0.2.1'));
  assert.ok(limits.enter('192.0.2.2'));
});

test('an address that has left is remembered while it has handshakes to make up for, and only then', () => {
  let now = 1000;
  const options = { connectionsMax: 0, handshakes: rateOf(1, 2000), rememberedMax: 100 };
  const limits = createAddressLimits(options, () => now);
  const knock = (address: string): boolean => {
    const visitor = limits.enter(address);
    assert.ok(visitor !== undefined);
    const may = limits.mayHandshake(visitor);
    limits.leave(visitor);
    return may;
  };
  assert.deepEqual([knock('192.0.2.1'), knock('192.0.2.1'), knock('192.0.2.1')], [true, true, false]);
  now += 1000;
  assert.deepEqual([knock('192.0.2.1'), knock('192.0.2.1')], [true, false]);
  assert.equal(limits.size, 1);
  now += 2000;
  const visitor = limits.enter('192.0.2.1');
  assert.ok(visitor !== undefined);
  limits.leave(visitor);
  assert.equal(limits.size, 0);
  // However many come: a bounded number is remembered, and who left first is forgotten.
  for (let count = 0; count < 10_000; count += 1) knock(`10.0.${count >> 8}.${count & 255}`);
  assert.equal(limits.size, 100);
});

test('a limit that is met a thousand times is counted each time, and is one line of the log in ten seconds', () => {
  let now = 0;
  let counted = 0;
  const lines: object[] = [];
  const reached = createLimitReports(
    { limitReached: () => void (counted += 1) },
    { warn: (fields) => void lines.push(fields) },
    () => now,
  );
  for (let count = 0; count < 1000; count += 1) reached('handshake_rate', '192.0.2.1');
  reached('client_connections_max', undefined);
  now += limitLogIntervalMs;
  reached('handshake_rate', '192.0.2.2');
  assert.equal(counted, 1002);
  assert.deepEqual(lines, [
    { limit: 'handshake_rate', address: '192.0.2.1', leftOut: 0 },
    { limit: 'client_connections_max', address: undefined, leftOut: 0 },
    { limit: 'handshake_rate', address: '192.0.2.2', leftOut: 999 },
  ]);
});
