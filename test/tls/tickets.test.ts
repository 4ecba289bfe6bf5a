import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { deriveTicketKeys, type TicketPolicy } from '../../src/tls/ticket-keys.ts';
import { makeAuthority } from '../support/certificates.ts';
import { ask, fakeCatalog, fingerprintOf, makeRecord, sClient, startAcceptor } from '../support/tls-acceptor.ts';

const directory = await mkdtemp(path.join(tmpdir(), 'portunus-tickets-'));
after(() => rm(directory, { recursive: true }));

const authority = makeAuthority();
const a = authority.issue({ names: ['a.test', 'twin.test'] });
const b = authority.issue({ names: ['b.test'] });

/** a.test and twin.test share a certificate, b.test has its own. */
function hosts() {
  const catalog = fakeCatalog();
  catalog.bind('a.test', makeRecord('a', [a]));
  catalog.bind('twin.test', makeRecord('a', [a]));
  catalog.bind('b.test', makeRecord('b', [b]));
  return catalog;
}

let files = 0;

/** Gets a session as `name` and keeps it in a file. s_client offers it to whatever name it is told to. */
async function session(port: number, name: string, version: string): Promise<string> {
  files += 1;
  const file = path.join(directory, `session-${files}`);
  const output = await sClient(port, [version, '-servername', name, '-sess_out', file]);
  assert.match(output, /"resumed":false/);
  assert.match(await readFile(file, 'utf8'), /BEGIN SSL SESSION/);
  return file;
}

async function isResumed(port: number, name: string, file: string, version: string): Promise<boolean> {
  const output = await sClient(port, [version, '-servername', name, '-sess_in', file]);
  assert.match(output, new RegExp(`"serverName":"${name}"`), 'the name is known, resumed or not');
  const resumed = /"resumed":true/.test(output);
  assert.equal(/^Reused, /m.test(output), resumed);
  return resumed;
}

for (const version of ['-tls1_2', '-tls1_3']) {
  test(`${version.slice(1)}: a ticket of host A resumes for A, and never for B`, async () => {
    await using acceptor = await startAcceptor({ catalog: hosts() });
    const ticket = await session(acceptor.port, 'a.test', version);
    assert.equal(await isResumed(acceptor.port, 'b.test', ticket, version), false);
    assert.equal(await isResumed(acceptor.port, 'a.test', ticket, version), true);
    // The client does offer it under other names: where the certificate is the same one, it resumes.
    assert.equal(await isResumed(acceptor.port, 'twin.test', ticket, version), true);
    assert.deepEqual(acceptor.counted.resumed, [false, false, true, true]);
    assert.deepEqual(acceptor.counted.failures, []);
  });

  test(`${version.slice(1)}: a ticket works on every worker that has the secret, and on no other`, async () => {
    await using first = await startAcceptor({ catalog: hosts() });
    await using second = await startAcceptor({ catalog: hosts() });
    await using stranger = await startAcceptor({ catalog: hosts(), ticketSecret: Buffer.alloc(32, 8) });
    const ticket = await session(first.port, 'a.test', version);
    assert.equal(await isResumed(stranger.port, 'a.test', ticket, version), false);
    assert.equal(await isResumed(second.port, 'a.test', ticket, version), true);
    assert.equal(await isResumed(second.port, 'b.test', ticket, version), false);
  });

  test(`${version.slice(1)}: a ticket does not outlive its certificate`, async () => {
    const catalog = hosts();
    await using acceptor = await startAcceptor({ catalog });
    const ticket = await session(acceptor.port, 'a.test', version);
    // A write that changed nothing that a session carries over.
    catalog.bind('a.test', makeRecord('a', [a], 2));
    assert.equal(await isResumed(acceptor.port, 'a.test', ticket, version), true);
    const renewed = authority.issue({ names: ['a.test'] });
    catalog.bind('a.test', makeRecord('a', [renewed], 3));
    assert.equal(await isResumed(acceptor.port, 'a.test', ticket, version), false);
  });

  test(`${version.slice(1)}: without session tickets nothing resumes`, async () => {
    await using acceptor = await startAcceptor({ catalog: hosts(), settings: { sslSessionTickets: false } });
    files += 1;
    const file = path.join(directory, `session-${files}`);
    await sClient(acceptor.port, [version, '-servername', 'a.test', '-sess_out', file]);
    const again = await readFile(file).catch(() => undefined);
    if (again !== undefined) assert.equal(await isResumed(acceptor.port, 'a.test', file, version), false);
    assert.ok(!acceptor.counted.resumed.includes(true));
  });
}

test('a client of node:tls resumes with either version, and is known by name', async () => {
  await using acceptor = await startAcceptor({ catalog: hosts() });
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = await ask(acceptor.port, { servername: 'a.test', maxVersion });
    assert.deepEqual([first.resumed, first.fingerprint], [false, fingerprintOf(a.cert)]);
    const second = await ask(acceptor.port, { servername: 'a.test', maxVersion, session: first.session });
    assert.deepEqual([second.resumed, second.serverName, second.protocol], [true, 'a.test', maxVersion]);
  }
});

test('every part of a policy makes other keys, and the same policy the same ones', () => {
  const secret = Buffer.alloc(32, 1);
  const policy: TicketPolicy = {
    certificateId: 'a',
    fingerprints: ['f1', 'f2'],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'x',
  };
  const others: readonly TicketPolicy[] = [
    { ...policy, certificateId: 'b' },
    { ...policy, fingerprints: ['f1'] },
    { ...policy, fingerprints: ['f1f2'] },
    { ...policy, fingerprints: ['f2', 'f1'] },
    { ...policy, minVersion: 'TLSv1.3' },
    { ...policy, maxVersion: 'TLSv1.2' },
    { ...policy, ciphers: 'y' },
  ];
  const derived = [
    deriveTicketKeys(secret, policy),
    ...others.map((other) => deriveTicketKeys(secret, other)),
    deriveTicketKeys(Buffer.alloc(32, 2), policy),
  ];
  assert.equal(new Set(derived.map(({ keys }) => keys.toString('hex'))).size, derived.length);
  assert.equal(new Set(derived.map(({ sessionIdContext }) => sessionIdContext)).size, derived.length);
  // Of a ticket's 48 bytes the first 16 are its key's name: it alone must differ already.
  assert.equal(new Set(derived.map(({ keys }) => keys.toString('hex', 0, 16))).size, derived.length);
  assert.deepEqual(deriveTicketKeys(secret, { ...policy }), derived[0]);
  assert.equal(derived[0]?.keys.length, 48);
  assert.equal(derived[0]?.sessionIdContext.length, 32);
  assert.throws(() => deriveTicketKeys(Buffer.alloc(16), policy), TypeError);
});
