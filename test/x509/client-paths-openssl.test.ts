// Paths beside OpenSSL's: authorities, intermediates and leaves at random, with every limit that is read here. Where OpenSSL has
// let a client in under all authorities, it goes each way that is found to one of them, and knows none that is not found.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { parseCertificate, type Certificate } from '../../src/x509/certificate.ts';
import { findClientPaths } from '../../src/x509/client-paths.ts';
import { context, objectIdentifier, sequence } from '../../src/x509/write-der.ts';
import { type Authority, extension, makeAuthority, makePrivateKey } from '../support/certificates.ts';
import { command } from '../support/command.ts';

const directory = await mkdtemp(path.join(tmpdir(), 'portunus-paths-'));
after(() => rm(directory, { recursive: true }));

const usage = (...names: string[]) => extension('2.5.29.37', sequence(...names.map(objectIdentifier)));
const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';
const inside = context(0, sequence(context(2, Buffer.from('inside.test'), 'primitive')));
const limitedNames = extension('2.5.29.30', sequence(inside), 'critical');

const kinds = {
  plain: {},
  narrow: { pathLength: 0 },
  wider: { pathLength: 1 },
  clients: { extensions: [usage(clientAuth, serverAuth)] },
  servers: { extensions: [usage(serverAuth)] },
  names: { extensions: [limitedNames] },
  weak: { keyType: 'rsa', bits: 1024 },
  sha1: { hash: 'sha1' },
} as const;
const kind = fc.oneof({ weight: 4, arbitrary: fc.constant('plain' as const) }, fc.constantFrom(...kindNames()));

/** Who signed it, which name and key it shares with its like, and what limits it. */
const intermediate = fc.record({ parent: fc.nat(5), twin: fc.nat(2), kind });
const world = fc.record({
  roots: fc.array(kind, { minLength: 2, maxLength: 2 }),
  intermediates: fc.array(intermediate, { maxLength: 4 }),
  issuer: fc.nat(5),
  leaf: fc.constantFrom('inside.test', 'outside.test'),
  hash: fc.constantFrom('sha256' as const, 'sha256' as const, 'sha1' as const),
  authorities: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
  sent: fc.subarray([0, 1, 2, 3, 4, 5]),
});

test('the ways that are found are those OpenSSL goes', async () => {
  let taken = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(world, async (made) => {
      const all: Authority[] = made.roots.map((root) => makeAuthority(kinds[root]));
      const keys = [0, 1, 2].map(() => makePrivateKey());
      for (const each of made.intermediates) {
        const parent = all[each.parent % all.length] as Authority;
        const { twin } = each;
        const shared = each.kind === 'weak' ? {} : { privateKey: keys[twin] as ReturnType<typeof makePrivateKey> };
        all.push(
          parent.intermediate({ ...kinds[each.kind], ...shared, commonName: `Twin ${twin} ${each.kind === 'weak'}` }),
        );
      }
      const issuer = all[made.issuer % all.length] as Authority;
      const leaf = issuer.issue({ names: [made.leaf], hash: made.hash }).cert;
      const sent = made.sent.flatMap((index) => all[index] ?? []);
      const authorities = made.authorities.flatMap((index) => all[index] ?? []);
      if (!(await verifies(leaf, sent, authorities))) {
        refused += 1;
        return;
      }
      const paths = findClientPaths(
        parse(leaf),
        sent.map(({ certificate }) => parse(certificate)),
        authorities.map(({ certificate }) => parse(certificate)),
      );
      for (const authority of authorities) {
        const way = paths.get(parse(authority.certificate).fingerprint);
        if (way !== undefined) {
          taken += 1;
          const between = way.slice(1, -1).map(({ pem }) => ({ certificate: pem }));
          assert.ok(await verifies(leaf, between, [authority]), 'OpenSSL does not go this way');
        } else if (!hasLimitedNames(made)) {
          assert.ok(!(await verifies(leaf, sent, [authority])), 'OpenSSL knows a way');
        }
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(taken > 10 && refused > 3, `${taken} taken, ${refused} refused`);
});

/** Where there are many ways, none past limits of names is taken, good or not. */
function hasLimitedNames({
  roots,
  intermediates,
}: {
  roots: readonly string[];
  intermediates: readonly { kind: string }[];
}) {
  return roots.includes('names') || intermediates.some((each) => each.kind === 'names');
}

type Pem = Pick<Authority, 'certificate'>;

async function verifies(leaf: string, sent: readonly Pem[], trusted: readonly Pem[]): Promise<boolean> {
  const at = (name: string): string => path.join(directory, name);
  await writeFile(at('leaf'), leaf);
  await writeFile(at('sent'), sent.map(({ certificate }) => certificate).join(''));
  await writeFile(at('trusted'), trusted.map(({ certificate }) => certificate).join(''));
  const untrusted = sent.length === 0 ? [] : ['-untrusted', at('sent')];
  const { code } = await command('openssl', [
    ...['verify', '-no-CApath', '-no-CAstore', '-partial_chain', '-purpose', 'sslclient', '-auth_level', '2'],
    ...['-CAfile', at('trusted'), ...untrusted, at('leaf')],
  ]);
  return code === 0;
}

function kindNames() {
  return Object.keys(kinds) as (keyof typeof kinds)[];
}

function parse(pem: string): Certificate {
  const certificate = parseCertificate(new X509Certificate(pem).raw);
  assert.ok(certificate !== undefined);
  return certificate;
}
