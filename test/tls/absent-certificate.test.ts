// A certificate that is bound but not in the local file yet: its handshake waits until it has been fetched.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { askingPolicies } from '../support/asking-policies.ts';
import { capturedHello } from '../support/captured-hello.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { certificateRecords, costlyChains } from '../support/costly-chains.ts';
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

test('what a client that is asked for a certificate sends meanwhile is read before it is passed on', async () => {
  const catalog = lateCatalog();
  const client = { socket: undefined as Socket | undefined };
  await using acceptor = await startAcceptor({
    catalog: { ...catalog, ...askingPolicies('late.test', makeAuthority().certificate) },
    async fetchCertificate() {
      client.socket?.write(certificateRecords(costlyChains['a hundred keys on P-521']?.() ?? []));
      // By then it may have come.
      await handshake(acceptor.port, 'other.test');
      catalog.bind('late.test', makeRecord('late', [{ chain: own.cert, key: own.key }]));
    },
  });
  client.socket = connect({ port: acceptor.port, host: '127.0.0.1' });
  client.socket.resume().on('error', () => {});
  client.socket.write(await capturedHello('late.test', 'TLSv1.2'));
  await new Promise((resolve) => client.socket?.once('close', resolve));
  assert.ok(acceptor.counted.failures.includes('client-chain-too-costly'));
});
