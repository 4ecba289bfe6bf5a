// Tenants' certificates that nobody would make, in a running gateway: each harms its own name alone.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { command } from '../support/command.ts';
import { startGateway } from '../support/gateway.ts';
import { hostileCertificate, hostileKey, servedAllTheSame } from '../support/hostile-certificates.ts';
import { servedCertificate } from '../support/served-certificate.ts';

test('certificates that nobody would make are served to who asks for them, while others have theirs', async () => {
  await using gateway = await startGateway({ workers: 1, settings: { admin_listen: '127.0.0.1:0' } });
  const { cert, key } = makeSelfSigned({ names: ['good.test'] });
  await expectOk(gateway.admin, 'POST', '/certificates', { cert, key, snis: ['good.test'] });
  const workers = gateway.workerPids();
  const own = hostileKey.export({ type: 'pkcs8', format: 'pem' });
  for (const [at, [what, parts]] of Object.entries(servedAllTheSame).entries()) {
    const name = `hostile${at}.test`;
    const der = hostileCertificate(parts);
    const body = { cert: der.toString('base64'), key: own, snis: [name] };
    const { status, body: answer } = await call(gateway.admin, 'POST', '/certificates', body);
    assert.equal(status, 201, `${what}: ${JSON.stringify(answer).slice(0, 500)}`);
    const port = `127.0.0.1:${gateway.tlsPort}`;
    for (const version of ['-tls1_2', '-tls1_3']) {
      const { stdout } = await command('openssl', ['s_client', '-connect', port, '-servername', name, version]);
      const served = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(stdout)?.[0];
      assert.ok(served !== undefined, `${what}: no certificate with ${version}`);
      assert.ok(new X509Certificate(served).raw.equals(der), what);
    }
    const good = await servedCertificate(gateway.tlsPort, 'good.test');
    assert.match(good.subject, /CN=good\.test/, what);
    assert.equal((await call(gateway.admin, 'GET', `/certificates/${name}`)).status, 200, what);
  }
  const listed = await expectOk(gateway.admin, 'GET', '/certificates?size=1000');
  assert.equal(listed.body.data.length, Object.keys(servedAllTheSame).length + 1);
  assert.equal((await fetch(`${gateway.status}/status`)).status, 200);
  assert.deepEqual(gateway.workerPids(), workers, 'the same worker all the time');
});
