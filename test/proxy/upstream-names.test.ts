// Names of upstreams: who asks the system for them, and what is used while it does not answer.
import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { suite, test } from 'node:test';
import type { Deadlines, Timed } from '../../src/proxy/deadlines.ts';
import { createUpstreamNames } from '../../src/proxy/upstream-names.ts';

const temporary = Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' });
const notThere = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });

/** A system that answers when it is told to, and a clock that stands still until it is moved on. */
function start() {
  let time = 0;
  const timed = new Set<Timed>();
  const deadlines: Deadlines = {
    now: () => time,
    add: (one) => timed.add(one),
    delete: (one) => timed.delete(one),
    [Symbol.dispose]: () => undefined,
  };
  const asked: string[] = [];
  const pending = new Map<string, (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void>();
  const lookup = createUpstreamNames(deadlines, (host, _options, done) => {
    assert.ok(!pending.has(host), `${host} is asked for twice at once`);
    asked.push(host);
    pending.set(host, done);
  });
  return {
    asked,
    goOn(ms: number) {
      time += ms;
      for (const one of timed) if (one.deadline <= time) one.onDeadline();
    },
    answer(host: string, ...addresses: string[]) {
      const done = pending.get(host);
      pending.delete(host);
      done?.(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    },
    fail(host: string, error: NodeJS.ErrnoException) {
      const done = pending.get(host);
      pending.delete(host);
      done?.(error, []);
    },
    /** What was answered, `waits` as long as nothing was. */
    find(host: string, all = true) {
      const found = { answer: 'waits' };
      lookup(host, { all }, (error, addresses, family) => {
        assert.equal(found.answer, 'waits', 'answered once');
        if (error !== null) found.answer = error.code ?? '';
        else if (typeof addresses === 'string') found.answer = `${addresses} ${family}`;
        else found.answer = addresses.map(({ address }) => address).join();
      });
      return found;
    },
  };
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

suite('the name of an upstream', () => {
  test('is asked for once at a time, whoever wants it, and its answer counts for a second', async () => {
    const system = start();
    const all = Array.from({ length: 100 }, () => system.find('a.test'));
    const one = system.find('a.test', false);
    assert.deepEqual(system.asked, ['a.test']);
    system.answer('a.test', '10.0.0.1', '10.0.0.2');
    for (const found of all) assert.equal(found.answer, '10.0.0.1,10.0.0.2');
    assert.equal(one.answer, '10.0.0.1 4');
    system.goOn(900);
    const fresh = system.find('a.test');
    await soon();
    assert.equal(fresh.answer, '10.0.0.1,10.0.0.2');
    assert.equal(system.asked.length, 1);
    system.goOn(100);
    const anew = system.find('a.test');
    assert.equal(system.asked.length, 2);
    system.answer('a.test', '10.0.0.3');
    assert.equal(anew.answer, '10.0.0.3');
  });

  test('whose servers say nothing takes no more than one of the places for names that take long, and keeps no others out', () => {
    const system = start();
    const dead = Array.from({ length: 500 }, () => system.find('dead.test'));
    system.goOn(500);
    system.fail('dead.test', temporary);
    for (const found of dead) assert.equal(found.answer, 'EAI_AGAIN');
    // From here on it is known to take long.
    system.find('dead.test');
    system.find('dead2.test');
    system.goOn(500);
    system.fail('dead2.test', temporary);
    const waits = system.find('dead2.test');
    assert.deepEqual(system.asked, ['dead.test', 'dead.test', 'dead2.test'], 'it waits for its turn');
    const good = system.find('good.test');
    system.answer('good.test', '10.0.0.1');
    assert.equal(good.answer, '10.0.0.1');
    system.fail('dead.test', temporary);
    assert.deepEqual(system.asked.slice(-2), ['good.test', 'dead2.test'], 'its turn');
    system.answer('dead2.test', '10.0.0.2');
    assert.equal(waits.answer, '10.0.0.2');
  });

  test('goes on being what it was while nobody answers, for an hour; and no longer where it is said not to exist', async () => {
    const system = start();
    system.find('a.test');
    system.answer('a.test', '10.0.0.1');
    system.goOn(1000);
    const first = system.find('a.test');
    system.goOn(499);
    assert.equal(first.answer, 'waits');
    system.goOn(1);
    assert.equal(first.answer, '10.0.0.1', 'after half a second');
    const next = system.find('a.test');
    await soon();
    assert.equal(next.answer, '10.0.0.1', 'at once');
    system.fail('a.test', temporary);
    const failing = system.find('a.test');
    await soon();
    assert.equal(failing.answer, '10.0.0.1');
    system.goOn(3_600_000);
    system.fail('a.test', temporary);
    const late = system.find('a.test');
    system.fail('a.test', temporary);
    assert.equal(late.answer, 'EAI_AGAIN', 'after an hour');

    const back = system.find('a.test');
    system.answer('a.test', '10.0.0.2');
    assert.equal(back.answer, '10.0.0.2');
    system.goOn(1000);
    const gone = system.find('a.test');
    system.fail('a.test', notThere);
    assert.equal(gone.answer, 'ENOTFOUND');
  });

  test('that ten thousand wait for has no room for more', async () => {
    const system = start();
    const waiting = Array.from({ length: 10_000 }, () => system.find('a.test'));
    const tooMany = system.find('a.test');
    await soon();
    assert.equal(tooMany.answer, 'EAI_AGAIN');
    system.answer('a.test', '10.0.0.1');
    assert.ok(waiting.every(({ answer }) => answer === '10.0.0.1'));
  });
});
