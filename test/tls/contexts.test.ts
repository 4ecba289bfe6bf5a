import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateRecord } from '../../src/catalog/contract.ts';
import { createContexts, type Contexts } from '../../src/tls/contexts.ts';
import type { TlsPolicy } from '../../src/tls/policies.ts';
import type { TlsSettings } from '../../src/tls/settings.ts';
import { makeAuthority } from '../support/certificates.ts';
import { makeRecord, tlsSettings } from '../support/tls-acceptor.ts';

const authority = makeAuthority();
const pair = authority.issue({ names: ['a.test'] });

interface Tested {
  readonly contexts: Contexts;
  readonly counted: string[];
  readonly keys: Buffer[];
  /** The wall clock, in milliseconds. */
  readonly clock: { now: number };
}

function start(settings: Partial<TlsSettings> = {}): Tested {
  const counted: string[] = [];
  const keys: Buffer[] = [];
  const clock = { now: Date.UTC(2026, 10, 28) };
  const contexts = createContexts({
    settings: { ...tlsSettings, ...settings },
    openKey({ sealedKey }) {
      const key = Buffer.from(sealedKey);
      keys.push(key);
      return key;
    },
    ticketSecret: Buffer.alloc(32),
    now: () => clock.now,
    counters: {
      handshakeDone: () => {},
      handshakeFailed: () => {},
      clientAsked: () => {},
      contextHit: () => void counted.push('hit'),
      contextMade: (ok) => void counted.push(ok ? 'made' : 'unusable'),
      contextEvicted: () => void counted.push('evicted'),
    },
    log: { debug: () => {}, error: () => {} },
  });
  return { contexts, counted, keys, clock };
}

const unusable = (id: string, revision = 1): CertificateRecord => ({ id, revision, pairs: [] });

test('a context is made once for a certificate and revision', () => {
  const { contexts, counted } = start();
  const first = contexts.get(makeRecord('a', [pair]));
  assert.equal(first.kind, 'ready');
  assert.equal(contexts.get(makeRecord('a', [pair])), first);
  assert.equal(contexts.find('a', 1), first);
  assert.notEqual(contexts.get(makeRecord('a', [pair], 2)), first);
  assert.equal(contexts.find('a', 1), undefined);
  assert.equal(contexts.size, 1);
  assert.deepEqual(counted, ['made', 'hit', 'hit', 'made']);
});

test('the bound holds: the context used longest ago makes room', () => {
  const { contexts, counted } = start({ tlsContextsMax: 2 });
  for (const id of ['a', 'b', 'a', 'c']) contexts.get(makeRecord(id, [pair]));
  assert.equal(contexts.size, 2);
  assert.equal(contexts.find('b', 1), undefined);
  assert.equal(contexts.find('a', 1)?.kind, 'ready');
  assert.deepEqual(counted, ['made', 'made', 'hit', 'evicted', 'made', 'hit']);
});

test('a private key is wiped once its context is made, or could not be', () => {
  const { contexts, keys } = start();
  contexts.get(makeRecord('good', [pair]));
  contexts.get(makeRecord('bad', [{ ...pair, key: 'no key at all' }]));
  assert.equal(keys.length, 2);
  for (const key of keys) assert.ok(key.every((byte) => byte === 0));
});

test('an unusable certificate is tried once for each revision, and remembered until it can be used', () => {
  const { contexts, counted } = start();
  for (const revision of [1, 1, 2]) assert.equal(contexts.get(unusable('a', revision)).kind, 'unusable');
  assert.deepEqual(counted, ['unusable', 'unusable']);
  assert.deepEqual([contexts.isUnusable('a', 1), contexts.isUnusable('a', 2)], [false, true]);
  assert.equal(contexts.get(makeRecord('a', [pair], 3)).kind, 'ready');
  assert.equal(contexts.isUnusable('a', 2), false);
});

const strict: TlsPolicy = { key: 'k', minVersion: 'TLSv1.3', ciphers: undefined, authorities: [], constraintsBytes: 0 };

test('each policy has a context of its own, and they are forgotten with their certificate', () => {
  const { contexts } = start();
  const plain = contexts.get(makeRecord('a', [pair]));
  const other = contexts.get(makeRecord('a', [pair]), strict);
  assert.notEqual(other, plain);
  assert.equal(contexts.get(makeRecord('a', [pair]), { ...strict }), other);
  assert.deepEqual([contexts.find('a', 1), contexts.find('a', 1, strict)], [plain, other]);
  contexts.get(makeRecord('ab', [pair]), strict);
  contexts.forget('a');
  assert.equal(contexts.size, 1, 'not those of a certificate whose id begins alike');
});

test('what cannot be used under a policy can under another, and is no fault of the certificate', () => {
  const { contexts } = start({ sslMaxVersion: 'TLSv1.2' });
  assert.equal(contexts.get(makeRecord('a', [pair]), strict).kind, 'unusable');
  assert.equal(contexts.get(makeRecord('a', [pair])).kind, 'ready');
  assert.deepEqual([contexts.isUnusable('a', 1), contexts.isUnusable('a', 1, strict)], [false, true]);
  contexts.forget('a');
  assert.equal(contexts.isUnusable('a', 1, strict), false);
});

test('what is forgotten is made anew', () => {
  const { contexts } = start();
  const first = contexts.get(makeRecord('a', [pair]));
  contexts.get(unusable('b'));
  contexts.forget('a');
  contexts.forget('b');
  contexts.forget('never known');
  assert.equal(contexts.size, 0);
  assert.equal(contexts.isUnusable('b', 1), false);
  assert.notEqual(contexts.get(makeRecord('a', [pair])), first);
  contexts.get(unusable('b'));
  contexts.forgetAll();
  assert.equal(contexts.size, 0);
  assert.equal(contexts.isUnusable('b', 1), false);
});

test('ticket keys rotate in the context there is, forth and back, once for each rotation', () => {
  const rotation = 60_000;
  const { contexts, counted, keys, clock } = start({ sslSessionTicketRotationMs: rotation });
  const ticketKeys = (): string => {
    const result = contexts.get(makeRecord('a', [pair]));
    assert.ok(result.kind === 'ready');
    const native = result.context.context as { getTicketKeys: () => Buffer };
    return native.getTicketKeys().toString('hex');
  };
  const begun = clock.now;
  const first = ticketKeys();
  const seen = new Set([first]);
  for (let second = 1; second <= 180; second += 1) {
    clock.now = begun + second * 1000;
    seen.add(ticketKeys());
  }
  assert.equal(seen.size, 4, 'three minutes from somewhere in the first minute');
  clock.now = begun;
  assert.equal(ticketKeys(), first);
  assert.equal(keys.length, 1, 'the private key was not opened again');
  assert.equal(counted.filter((one) => one === 'made').length, 1);
});

test('a context keeps no copy of the intermediate', () => {
  const { contexts } = start();
  const issued = authority.intermediate().issue({ names: ['a.test'] });
  const result = contexts.get(makeRecord('a', [{ chain: issued.chain, key: issued.key }]));
  assert.equal(result.kind, 'ready');
  const native = result.context.context as { getIssuer: () => Buffer | null; getCertificate: () => Buffer | null };
  assert.equal(native.getIssuer(), null);
  assert.ok(native.getCertificate());
});
