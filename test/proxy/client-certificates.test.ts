// What a host's and an API's rules about client certificates let in: over real sockets, with the store's own catalog.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { objectIdentifier, sequence } from '../../src/x509/write-der.ts';
import { extension, type Issued, makeAuthority, makePrivateKey, makeSelfSigned } from '../support/certificates.ts';
import {
  type Answer,
  type Client,
  connectHttp2,
  connectPlain,
  connectTls,
  optional,
  required,
  type RunningDataPlane,
  startDataPlane,
} from '../support/data-plane.ts';
import { fingerprintOf } from '../support/tls-acceptor.ts';
import { until } from '../support/until.ts';

const host = 'a.test';
const root = makeAuthority();
const alice = root.issue({ names: [], commonName: 'Alice' });

async function protectedHost(rule = required(['root']), crl: string | null = null): Promise<RunningDataPlane> {
  const plane = await startDataPlane();
  await plane.serve(host);
  await plane.authority('root', root, crl);
  await plane.api(host);
  await plane.policy(host, { clientCertificate: rule });
  return plane;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  suite(version, () => {
    test('where a certificate is required, a good one is let in and told to the upstream', async () => {
      await using plane = await protectedHost();
      using client = await connectTls(plane.tlsPort, { sni: host, certificate: alice, version });
      const { status, json } = await client.get(host);
      assert.equal(status, 200);
      const { raw, serialNumber } = new X509Certificate(alice.cert);
      assert.deepEqual(identityIn(json), {
        'x-client-cert-dn': 'CN=Alice',
        'x-client-cert-fingerprint': fingerprintOf(alice.cert),
        'x-client-cert-serial': serialNumber,
        'client-cert': `:${raw.toString('base64')}:`,
      });
      assert.equal(client.tls.getProtocol(), version);
    });

    test('where a certificate is required, none is not enough', async () => {
      await using plane = await protectedHost();
      using client = await connectTls(plane.tlsPort, { sni: host, version });
      const { status, json } = await client.get(host);
      const { code, message } = json;
      assert.deepEqual(
        [status, code, message],
        [403, 'CLIENT_CERTIFICATE_REQUIRED', 'No required TLS certificate was sent'],
      );
      assert.equal(plane.upstreamRequests(), 0);
    });

    test('where a certificate is optional, none is let in and a good one is told', async () => {
      await using plane = await protectedHost(optional(['root']));
      using anonymous = await connectTls(plane.tlsPort, { sni: host, version });
      const without = await anonymous.get(host);
      assert.deepEqual([without.status, identityIn(without.json)], [200, {}]);
      using client = await connectTls(plane.tlsPort, { sni: host, certificate: alice, version });
      assert.equal(identityIn((await client.get(host)).json)['x-client-cert-dn'], 'CN=Alice');
    });

    test('without a rule nobody is asked, and nothing is told', async () => {
      await using plane = await startDataPlane();
      await plane.serve(host);
      await plane.api(host);
      using client = await connectTls(plane.tlsPort, { sni: host, certificate: alice, version });
      const { status, json } = await client.get(host);
      assert.deepEqual([status, identityIn(json)], [200, {}]);
      const { clientProofs } = plane.plane.report().counters;
      assert.deepEqual(clientProofs, { none: 0, valid: 0, invalid: 0 });
    });
  });
}

const intermediate = root.intermediate();
const second = intermediate.intermediate();
const forServers = extension('2.5.29.37', sequence(objectIdentifier('1.3.6.1.5.5.7.3.1')));
const day = 86_400_000;

const bad: readonly (readonly [what: string, certificate: () => Pick<Issued, 'chain' | 'key'>, hint: string])[] = [
  ['of another authority', () => makeAuthority().issue(client()), 'unknown-authority'],
  [
    'of an authority with the same name',
    () => makeAuthority({ commonName: nameOf(root) }).issue(client()),
    'unknown-authority',
  ],
  ['that signs itself', () => selfSigned(), 'unknown-authority'],
  ['that has expired', () => root.issue(client({ notAfter: Date.now() - 1000 })), 'expired'],
  ['that is not valid yet', () => root.issue(client({ notBefore: Date.now() + day })), 'not-yet-valid'],
  ['for servers alone', () => root.issue(client({ extensions: [forServers] })), 'wrong-purpose'],
  ['too far below', () => second.issue(client()), 'too-deep'],
  ['whose intermediate was not sent', () => withoutChain(intermediate.issue(client())), 'unknown-authority'],
  ['with a weak signature', () => root.issue(client({ hash: 'sha1' })), 'invalid'],
  ['with more than 16 KiB', () => root.issue({ ...client(), names: names(1000) }), 'too-large'],
  ['with many behind it', () => withMany(root.issue(client())), 'too-large'],
  ['of an authority that may have none below it', () => narrow().issue(client()), 'too-deep'],
];

for (const [what, certificate, hint] of bad) {
  test(`a certificate ${what} is refused, also where none would do`, async () => {
    await using plane = await protectedHost();
    await plane.policy(host, { clientCertificate: required(['root']) });
    for (const mode of [required, optional]) {
      await plane.policy(host, { clientCertificate: mode(['root']) });
      using client = await connectTls(plane.tlsPort, {
        sni: host,
        certificate: certificate(),
        tls: { ciphers: 'DEFAULT:@SECLEVEL=0' },
      });
      const { status, json } = await client.get(host);
      assert.deepEqual(
        [status, json.code, json.hint, json.message],
        [403, 'CLIENT_CERTIFICATE_REFUSED', hint, 'TLS certificate failed verification'],
      );
    }
    assert.equal(plane.upstreamRequests(), 0);
  });
}

suite('depth', () => {
  const cases = [
    [0, alice, 200],
    [0, intermediate.issue(client()), 403],
    [1, intermediate.issue(client()), 200],
    [1, second.issue(client()), 403],
    [2, second.issue(client()), 200],
  ] as const;
  for (const [depth, certificate, status] of cases) {
    const between = certificate.chain.split('BEGIN').length - 2;
    test(`${between} intermediates where ${depth} may be: ${status}`, async () => {
      await using plane = await protectedHost(required(['root'], depth));
      using client = await connectTls(plane.tlsPort, { sni: host, certificate });
      assert.equal((await client.get(host)).status, status);
    });
  }

  test('it is counted from the authority that the rule names, which may be an intermediate', async () => {
    await using plane = await protectedHost();
    await plane.authority('intermediate', intermediate);
    await plane.policy(host, { clientCertificate: required(['intermediate'], 0) });
    using below = await connectTls(plane.tlsPort, { sni: host, certificate: intermediate.issue(client()) });
    assert.equal((await below.get(host)).status, 200);
    using beside = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
    assert.equal((await beside.get(host)).json.hint, 'unknown-authority');
  });
});

suite('revocation', () => {
  const lists = [
    ['a revoked certificate', root.revoke([alice.cert]), 'revoked'],
    ['a list that is late', root.revoke([], { nextUpdate: Date.now() - 1000 }), 'revocation-list-expired'],
    ['a list of tomorrow', root.revoke([], { thisUpdate: Date.now() + day }), 'revocation-list-unusable'],
    ['a list of somebody else', makeAuthority().revoke([]), 'revocation-list-unusable'],
    ['a list that is none', root.certificate, 'revocation-list-unusable'],
  ] as const;
  for (const [what, crl, hint] of lists) {
    test(`${what} keeps out`, async () => {
      await using plane = await protectedHost(required(['root']), crl);
      using client = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
      const { status, json } = await client.get(host);
      assert.deepEqual([status, json.hint], [403, hint]);
    });
  }

  test('a list without the certificate, or without a next one, keeps nobody out', async () => {
    await using plane = await protectedHost(required(['root']), root.revoke([root.issue(client()).cert]));
    using one = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
    assert.equal((await one.get(host)).status, 200);
    await plane.authority('root', root, root.revoke([], { nextUpdate: null }));
    assert.equal((await one.get(host)).status, 200);
  });

  test('a revoked intermediate keeps out all below it, also where the rule names the intermediate itself', async () => {
    await using plane = await protectedHost(required(['root']), root.revoke([intermediate.certificate]));
    const below = intermediate.issue(client());
    using first = await connectTls(plane.tlsPort, { sni: host, certificate: below });
    assert.equal((await first.get(host)).json.hint, 'revoked');
    await plane.authority('intermediate', intermediate);
    await plane.policy(host, { clientCertificate: required(['intermediate', 'root']) });
    using again = await connectTls(plane.tlsPort, { sni: host, certificate: below });
    assert.equal((await again.get(host)).json.hint, 'revoked');
  });

  test('a revoked intermediate is no authority: its root is asked where it is stored, another root of that name is not', async () => {
    await using plane = await protectedHost();
    await plane.authority('intermediate', intermediate);
    await plane.policy(host, { clientCertificate: required(['intermediate']) });
    const late = { nextUpdate: Date.now() - 1000 };
    const namesake = makeAuthority({ commonName: nameOf(root) });
    await plane.authority('namesake', namesake, namesake.revoke([intermediate.certificate], late));
    using below = await connectTls(plane.tlsPort, { sni: host, certificate: intermediate.issue(client()) });
    assert.equal((await below.get(host)).status, 200);
    await plane.authority('root', root, root.revoke([]));
    assert.equal((await below.get(host)).status, 200);
    await plane.authority('root', root, root.revoke([intermediate.certificate]));
    assert.equal((await below.get(host)).json.hint, 'revoked');
  });

  for (const [names, ids] of [
    ['both', ['intermediate', 'root']],
    ['the root alone', ['root']],
  ] as const) {
    test(`what an intermediate revoked is revoked under the root too, where the rule names ${names}`, async () => {
      await using plane = await protectedHost(required(['root']), root.revoke([]));
      const below = intermediate.issue(client());
      await plane.authority('intermediate', intermediate);
      await plane.policy(host, { clientCertificate: required(ids) });
      using refused = await connectTls(plane.tlsPort, { sni: host, certificate: below });
      assert.equal((await refused.get(host)).status, 200);
      await plane.authority('intermediate', intermediate, intermediate.revoke([below.cert]));
      assert.equal((await refused.get(host)).json.hint, 'revoked');
      // Neither its list, nor who is revoked there, is anything to others.
      using other = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
      assert.equal((await other.get(host)).status, 200);
    });
  }

  test('what an intermediate revoked is revoked under its other certificates too', async () => {
    const self = { commonName: 'Renewed Intermediate', privateKey: makePrivateKey() };
    const [before, after] = [root.intermediate(self), root.intermediate(self)];
    const [revoked, good] = [before.issue(client()), before.issue(client())];
    await using plane = await protectedHost(required(['root']));
    await plane.authority('intermediate', before, before.revoke([revoked.cert]));
    for (const [{ cert, key }, status] of [
      [revoked, 403],
      [good, 200],
    ] as const) {
      const certificate = { key, chain: cert + after.certificate };
      using shown = await connectTls(plane.tlsPort, { sni: host, certificate });
      assert.equal((await shown.get(host)).status, status);
    }
  });

  test('of an authority that was renewed the last list holds, whichever certificate it was sent with', async () => {
    const self = { commonName: 'Renewed Root', privateKey: makePrivateKey() };
    const [before, after] = [makeAuthority(self), makeAuthority(self)];
    const [revoked, good] = [before.issue(client()), before.issue(client())];
    await using plane = await protectedHost();
    const late = { thisUpdate: Date.now() - 9 * day, nextUpdate: Date.now() - day };
    await plane.authority('before', before, before.revoke([], late));
    await plane.authority('after', after, after.revoke([revoked.cert]));
    for (const names of [['after'], ['after', 'before'], ['before']]) {
      await plane.policy(host, { clientCertificate: required(names) });
      for (const [certificate, status] of [
        [revoked, 403],
        [good, 200],
      ] as const) {
        using shown = await connectTls(plane.tlsPort, { sni: host, certificate });
        assert.equal((await shown.get(host)).status, status);
      }
    }
  });

  test('a list is that of the file there is, also where another one had the same revision', async () => {
    await using plane = await protectedHost(required(['root']), root.revoke([]));
    using shown = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
    assert.equal((await shown.get(host)).status, 200);
    plane.replaceFile(`UPDATE ca_certificates SET doc = json_set(doc, '$.crl', ?)`, root.revoke([alice.cert]));
    assert.equal((await shown.get(host)).json.hint, 'revoked');
  });

  test('it counts from the moment it is known, on connections that are open', async () => {
    await using plane = await protectedHost();
    using http1 = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
    using http2 = await connectHttp2(plane.tlsPort, { sni: host, certificate: alice });
    for (const each of [http1, http2]) assert.equal((await each.get(host)).status, 200);
    await plane.authority('root', root, root.revoke([alice.cert]));
    for (const each of [http1, http2]) assert.equal((await each.get(host)).json.hint, 'revoked');
    await plane.authority('root', root, root.revoke([]));
    for (const each of [http1, http2]) assert.equal((await each.get(host)).status, 200);
  });
});

test('a certificate that expires while its connection is open is let in no longer', async () => {
  await using plane = await protectedHost();
  const short = root.issue(client({ notAfter: Date.now() + 2000 }));
  using open = await connectTls(plane.tlsPort, { sni: host, certificate: short });
  const first = await open.get(host);
  const answer = await until('it has expired', async () => {
    const next = await open.get(host);
    return next.status === 403 && next;
  });
  // On a machine that stood still it may have expired before.
  assert.ok(first.status === 200 || first.json.hint === 'expired');
  assert.equal(answer.json.hint, 'expired');
});

test('keys of every kind a client may have are taken or refused, and the gateway goes on', async () => {
  await using plane = await protectedHost();
  const kinds = [
    [{ keyType: 'rsa' }, 200],
    [{ keyType: 'rsa', bits: 4096 }, 200],
    [{ curve: 'secp384r1' }, 200],
    [{ keyType: 'ed25519' }, 200],
    [{ keyType: 'ed448' }, 200],
    [{ keyType: 'rsa', bits: 1024 }, 403],
    [{ curve: 'secp521r1' }, undefined],
    [{ curve: 'secp256k1' }, undefined],
    [{ curve: 'brainpoolP256r1' }, undefined],
    [{ curve: 'brainpoolP512r1' }, undefined],
    [{ curve: 'sect571r1' }, undefined],
    [{ keyType: 'dsa' }, undefined],
  ] as const;
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const [options, wanted] of kinds) {
      const certificate = root.issue(client(options));
      const status = await tryOnce(plane, certificate, version);
      // Where OpenSSL's client has no signature for the key, or its server none to accept, there is no connection, or no
      // certificate on it.
      if (wanted !== undefined) assert.equal(status, wanted, `${version} ${JSON.stringify(options)}`);
      else assert.notEqual(status, 500, `${version} ${JSON.stringify(options)}`);
    }
  }
  using good = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
  assert.equal((await good.get(host)).status, 200);
});

test('intermediates with odd keys are passed over, and the gateway goes on', async () => {
  await using plane = await protectedHost();
  const odd = [{ curve: 'secp256k1' }, { curve: 'brainpoolP384r1' }, { keyType: 'dsa' }] as const;
  const heap = odd.map((options) => makeAuthority(options).certificate).join('');
  using client = await connectTls(plane.tlsPort, {
    sni: host,
    certificate: { chain: alice.chain + heap, key: alice.key },
  });
  assert.equal((await client.get(host)).status, 200);
});

suite('without TLS', () => {
  for (const lines of ['', 'X-Forwarded-Proto: https\r\n']) {
    test(`a required certificate cannot be shown${lines === '' ? '' : ', whatever a proxy in front says'}`, async () => {
      await using plane = await protectedHost();
      await plane.api(host, { httpsOnly: lines !== '', httpIfTerminated: true });
      using client = await connectPlain(plane.plainPort);
      const { status, json } = await client.get(host, '/', lines);
      assert.deepEqual([status, json.code], [403, 'CLIENT_CERTIFICATE_NEEDS_TLS']);
      assert.match(json.message ?? '', /HTTPS/);
      assert.equal(plane.upstreamRequests(), 0);
    });
  }

  test('an API over HTTPS only says 426 first, and an optional certificate is not missed', async () => {
    await using plane = await protectedHost();
    await plane.api(host, { httpsOnly: true });
    using client = await connectPlain(plane.plainPort);
    assert.equal((await client.get(host)).status, 426);
    await plane.api(host);
    await plane.policy(host, { clientCertificate: optional(['root']) });
    const { status, json } = await client.get(host, '/', 'X-Client-Cert-DN: CN=Mallory\r\n');
    assert.deepEqual([status, identityIn(json)], [200, {}]);
  });
});

test('a gRPC client without a certificate hears PERMISSION_DENIED', async () => {
  await using plane = await protectedHost();
  using client = await connectHttp2(plane.tlsPort, { sni: host });
  const stream = client.session.request({
    ':method': 'POST',
    ':path': '/a.Service/Call',
    ':authority': host,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.end();
  const [headers] = (await once(stream, 'response')) as [Readonly<Record<string, string | number>>];
  assert.deepEqual([headers[':status'], headers['grpc-status']], [200, '7']);
  assert.match(String(headers['grpc-message']), /CLIENT_CERTIFICATE_REQUIRED/);
  assert.equal(plane.upstreamRequests(), 0);
});

test('what a client says of itself never passes, whether it proved something else or nothing', async () => {
  await using plane = await protectedHost(optional(['root']));
  const forged = [
    ...['Client-Cert', 'Client-Cert-Chain', 'X-Client-Cert-DN', 'X-Client-Cert-Fingerprint', 'X-Client-Cert-Serial'],
    ...['X-Client-Cert-SAN', 'X_Client_Cert_DN', 'CLIENT_CERT'],
  ];
  const lines = forged.map((name) => `${name}: CN=Mallory\r\n`).join('');
  for (const certificate of [undefined, alice]) {
    using http1 = await connectTls(plane.tlsPort, { sni: host, certificate });
    using http2 = await connectHttp2(plane.tlsPort, { sni: host, certificate });
    for (const { json } of [
      await http1.get(host, '/', lines),
      await http2.get(host, '/', Object.fromEntries(forged.map((name) => [name.toLowerCase(), 'CN=Mallory']))),
    ]) {
      assert.doesNotMatch(JSON.stringify(json.headers), /Mallory/);
      assert.equal(json.headers?.['x-client-cert-dn'], certificate === undefined ? undefined : 'CN=Alice');
    }
  }
});

test('a name cannot add a line to what the upstream is told', async () => {
  await using plane = await protectedHost();
  const certificate = root.issue({ names: [], commonName: 'x\r\nX-Admin: yes\r\n,O=Zoë' });
  using client = await connectTls(plane.tlsPort, { sni: host, certificate });
  const { json } = await client.get(host);
  assert.equal(json.headers?.['x-admin'], undefined);
  assert.equal(json.headers?.['x-client-cert-dn'], 'CN=x\\0D\\0AX-Admin: yes\\0D\\0A\\,O=Zo\\C3\\AB');
});

test('rules of APIs on one host: each path has its own, beside the host’s', async () => {
  const other = makeAuthority();
  const bob = other.issue(client());
  await using plane = await startDataPlane();
  await plane.serve(host);
  await plane.authority('root', root);
  await plane.authority('other', other);
  const at = (uri: string) => ({ hosts: [host], uris: [uri] });
  await plane.api('open', at('/open'));
  await plane.api('of-root', { ...at('/root'), clientCertificate: required(['root']) });
  await plane.api('of-other', { ...at('/other'), clientCertificate: required(['other']) });
  await plane.api('of-both', { ...at('/both'), clientCertificate: optional(['other', 'root']) });
  const paths = ['/open', '/root', '/other', '/both', '/none'];
  const statuses = async (certificate: Issued | undefined): Promise<readonly string[]> => {
    using client = await connectTls(plane.tlsPort, { sni: host, certificate });
    const answers: string[] = [];
    for (const path of paths) {
      const { status, json } = await client.get(host, path);
      answers.push(`${status} ${json.headers?.['x-client-cert-fingerprint'] === undefined ? '' : 'known'}`.trim());
    }
    return answers;
  };
  assert.deepEqual(await statuses(undefined), ['200', '403', '403', '200', '404']);
  assert.deepEqual(await statuses(alice), ['200', '200 known', '403', '200 known', '404']);
  assert.deepEqual(await statuses(bob), ['200', '403', '200 known', '200 known', '404']);
  await plane.policy(host, { clientCertificate: required(['root']) });
  assert.deepEqual(await statuses(undefined), ['403', '403', '403', '403', '403']);
  assert.deepEqual(await statuses(alice), ['200 known', '200 known', '403', '200 known', '404']);
  assert.deepEqual(await statuses(bob), ['403', '403', '403', '403', '403']);
});

test('a rule whose authorities are gone from the file lets nobody in', async () => {
  await using plane = await protectedHost(required([]));
  using client = await connectTls(plane.tlsPort, { sni: host, certificate: alice });
  assert.equal((await client.get(host)).status, 403);
});

test('who was let in, and who was not and why, is in the log and the metrics', async () => {
  await using plane = await protectedHost();
  const foreign = makeAuthority().issue(client());
  for (const certificate of [alice, undefined, foreign]) {
    using each = await connectTls(plane.tlsPort, { sni: host, certificate });
    await each.get(host);
  }
  const lines = await until('the log', () => plane.accessLines().length === 3 && plane.accessLines());
  assert.deepEqual(
    lines.map(({ status, error, error_reason, client_certificate }) => [
      status,
      error,
      error_reason,
      client_certificate,
    ]),
    [
      [200, undefined, undefined, fingerprintOf(alice.cert)],
      [403, 'CLIENT_CERTIFICATE_REQUIRED', 'not-sent', undefined],
      [403, 'CLIENT_CERTIFICATE_REFUSED', 'unknown-authority', undefined],
    ],
  );
  const { clientProofs, clientRefusals } = plane.plane.report().counters;
  assert.deepEqual(clientProofs, { none: 1, valid: 1, invalid: 1 });
  assert.deepEqual([clientRefusals['not-sent'], clientRefusals['unknown-authority']], [1, 1]);
});

function client(fields: object = {}) {
  return { names: [], commonName: 'client', ...fields };
}

function identityIn({ headers = {} }: Answer['json']): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.includes('client-cert')));
}

function nameOf({ certificate }: { readonly certificate: string }): string {
  return /CN=(.*)/.exec(new X509Certificate(certificate).subject)?.[1] ?? '';
}

function selfSigned(): Pick<Issued, 'chain' | 'key'> {
  const { cert, key } = makeSelfSigned({ names: ['self.test'], ca: false });
  return { chain: cert, key };
}

function withoutChain({ cert, key }: Issued): Pick<Issued, 'chain' | 'key'> {
  return { chain: cert, key };
}

function withMany({ cert, key }: Issued): Pick<Issued, 'chain' | 'key'> {
  return { chain: cert + Array.from({ length: 12 }, () => makeAuthority().certificate).join(''), key };
}

function narrow() {
  return root.intermediate({ pathLength: 0 }).intermediate();
}

function names(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `name-${index}.example.test`);
}

/** @returns undefined where the client could not connect */
async function tryOnce(
  plane: RunningDataPlane,
  certificate: Issued,
  version: 'TLSv1.2' | 'TLSv1.3',
): Promise<number | undefined> {
  let opened: Client | undefined;
  try {
    opened = await connectTls(plane.tlsPort, {
      sni: host,
      certificate,
      version,
      tls: {
        ciphers: 'ALL:@SECLEVEL=0',
        ecdhCurve: 'X25519:P-256:P-384:P-521:secp256k1:brainpoolP256r1:brainpoolP512r1',
      },
    });
    return (await opened.get(host)).status;
  } catch {
    return undefined;
  } finally {
    opened?.[Symbol.dispose]();
  }
}
