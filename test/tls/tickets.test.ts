import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { deriveTickets, type TicketPolicy } from '../../src/tls/ticket-keys.ts';
import { makeAuthority } from '../support/certificates.ts';
import {
  ask,
  fakeCatalog,
  fingerprintOf,
  makeRecord,
  sClient,
  startAcceptor,
  tlsSettings,
} from '../support/tls-acceptor.ts';

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

const rotationMs = 3_600_000;
const today = Date.UTC(2026, 10, 28, 12);

/** When the keys change that a.test has today. */
function boundary(): number {
  const { sslMinVersion: minVersion, sslMaxVersion: maxVersion, sslCiphers: ciphers } = tlsSettings;
  const ofA = { certificateId: 'a', fingerprints: [fingerprintOf(a.cert)], minVersion, maxVersion, ciphers };
  return deriveTickets(Buffer.alloc(32, 7), ofA, rotationMs).keysAt(today).until;
}

for (const version of ['-tls1_2', '-tls1_3']) {
  test(`${version.slice(1)}: a ticket resumes on two workers until the keys rotate, in the contexts there are`, async () => {
    let now = boundary() - rotationMs;
    const options = { now: () => now, settings: { sslSessionTicketRotationMs: rotationMs } };
    await using first = await startAcceptor({ catalog: hosts(), ...options });
    await using second = await startAcceptor({ catalog: hosts(), ...options });
    const old = await session(first.port, 'a.test', version);
    now = boundary() - 1;
    assert.equal(await isResumed(first.port, 'a.test', old, version), true);
    assert.equal(await isResumed(second.port, 'a.test', old, version), true);
    assert.equal(await isResumed(second.port, 'b.test', old, version), false);

    now = boundary();
    assert.equal(await isResumed(first.port, 'a.test', old, version), false);
    assert.equal(await isResumed(second.port, 'a.test', old, version), false);
    const renewed = await session(first.port, 'a.test', version);
    assert.equal(await isResumed(first.port, 'a.test', renewed, version), true);
    assert.equal(await isResumed(second.port, 'a.test', renewed, version), true);
    assert.equal(await isResumed(second.port, 'b.test', renewed, version), false);

    // The clock was ahead and is set right.
    now = boundary() - 1;
    assert.equal(await isResumed(first.port, 'a.test', renewed, version), false);
    assert.equal(await isResumed(first.port, 'a.test', old, version), true);
    assert.equal(await isResumed(second.port, 'a.test', old, version), true);
    assert.deepEqual([first.counted.contexts.made, second.counted.contexts.made], [1, 2], 'a; a and b');
    assert.deepEqual([first.counted.failures, second.counted.failures], [[], []]);
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

const secret = Buffer.alloc(32, 1);
const policy: TicketPolicy = {
  certificateId: 'a',
  fingerprints: ['f1', 'f2'],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: 'x',
};

test('every part of a policy makes other keys, and the same policy the same ones', () => {
  const others: readonly TicketPolicy[] = [
    { ...policy, certificateId: 'b' },
    { ...policy, fingerprints: ['f1'] },
    { ...policy, fingerprints: ['f1f2'] },
    { ...policy, fingerprints: ['f2', 'f1'] },
    { ...policy, minVersion: 'TLSv1.3' },
    { ...policy, maxVersion: 'TLSv1.2' },
    { ...policy, ciphers: 'y' },
    { ...policy, policyKey: 'k' },
    { ...policy, policyKey: '' },
  ];
  const derived = [
    deriveTickets(secret, policy, rotationMs),
    ...others.map((other) => deriveTickets(secret, other, rotationMs)),
    deriveTickets(Buffer.alloc(32, 2), policy, rotationMs),
  ].map((tickets) => ({ sessionIdContext: tickets.sessionIdContext, ...tickets.keysAt(today) }));
  assert.equal(new Set(derived.map(({ keys }) => keys.toString('hex'))).size, derived.length);
  assert.equal(new Set(derived.map(({ sessionIdContext }) => sessionIdContext)).size, derived.length);
  // Of a ticket's 48 bytes the first 16 are its key's name: it alone must differ already.
  assert.equal(new Set(derived.map(({ keys }) => keys.toString('hex', 0, 16))).size, derived.length);
  const again = deriveTickets(secret, { ...policy }, rotationMs);
  assert.deepEqual({ sessionIdContext: again.sessionIdContext, ...again.keysAt(today) }, derived[0]);
  assert.equal(derived[0]?.keys.length, 48);
  assert.equal(derived[0]?.sessionIdContext.length, 32);
  assert.throws(() => deriveTickets(Buffer.alloc(16), policy, rotationMs), TypeError);
});

test('keys are the same from the start of their time to its end, and others before and after', () => {
  const tickets = deriveTickets(secret, policy, rotationMs);
  const { keys, from, until } = tickets.keysAt(today);
  assert.ok(from <= today && today < until);
  assert.equal(until - from, rotationMs);
  for (const now of [from, until - 1]) assert.deepEqual(tickets.keysAt(now), { keys, from, until });
  const before = tickets.keysAt(from - 1);
  const after = tickets.keysAt(until);
  assert.deepEqual([before.until, after.from], [from, until]);
  // Another rotation whose epoch has the same number.
  const longer = deriveTickets(secret, policy, rotationMs * 2).keysAt(today * 2);
  const names = [before, { keys }, after, longer].map((one) => one.keys.toString('hex', 0, 16));
  assert.equal(new Set(names).size, 4);
});

test('the moments at which 1,000 certificates rotate are spread over the whole rotation', () => {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let number = 0; number < 1000; number += 1) {
    const { until } = deriveTickets(secret, { ...policy, certificateId: `${number}` }, rotationMs).keysAt(today);
    const tenth = Math.floor(((until - today - 1) / rotationMs) * 10);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  // 100 each if even; the secret is fixed, so the counts are the same in every run.
  for (const count of tenths) assert.ok(count > 60 && count < 140, tenths.join(' '));
});
