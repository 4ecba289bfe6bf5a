// A certificate that is bound but not in the local file yet: its handshake waits until it has been fetched.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeSelfSigned } from '../support/certificates.ts';
import { handshake } from '../support/handshake.ts';
import { fakeCatalog, makeRecord, startAcceptor } from '../support/tls-acceptor.ts';
import { until } from '../support/until.ts';

const own = makeSelfSigned({ names: ['late.test'] });
const standard = makeSelfSigned({ names: ['standard.test'] });

function lateCatalog() {
  const catalog = fakeCatalog();
  catalog.standard = makeRecord('standard', [{ chain: standard.cert, key: standard.key }]);
  catalog.absent.set('late.test', 'late');
  return catalog;
}

test('the handshake goes on when it has been fetched', async () => {
  const catalog = lateCatalog();
  const asked: string[] = [];
  await using acceptor = await startAcceptor({
    catalog,
    async fetchCertificate(id) {
      asked.push(id);
      await new Promise(setImmediate);
      catalog.bind('late.test', makeRecord('late', [{ chain: own.cert, key: own.key }]));
    },
  });
  assert.equal((await handshake(acceptor.port, 'late.test')).subject, 'late.test');
  assert.equal((await handshake(acceptor.port, 'late.test')).subject, 'late.test');
  assert.equal((await handshake(acceptor.port, 'other.test')).subject, 'standard.test');
  assert.deepEqual(asked, ['late']);
});

test('one that cannot be had fails its own handshake, and the default certificate is not shown in its place', async () => {
  await using acceptor = await startAcceptor({
    catalog: lateCatalog(),
    fetchCertificate: () => Promise.reject(new Error('away')),
  });
  await assert.rejects(handshake(acceptor.port, 'late.test'));
  assert.deepEqual(acceptor.counted.failures, ['certificate-unusable']);
});

test('a client that waits in vain is let go when its time is over, and one that leaves is forgotten', async () => {
  const never = Promise.withResolvers<void>();
  await using acceptor = await startAcceptor({
    catalog: lateCatalog(),
    settings: { handshakeTimeoutMs: 300 },
    fetchCertificate: () => never.promise,
  });
  await assert.rejects(handshake(acceptor.port, 'late.test'));
  await until('it is counted', () => acceptor.counted.failures.length === 1);
  assert.deepEqual(acceptor.counted.failures, ['timeout']);
  never.resolve();
  await new Promise(setImmediate);
  assert.deepEqual(acceptor.counted.failures, ['timeout']);
});
