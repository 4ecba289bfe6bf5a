// Loading: sources and their order, all problems at once, what holds between settings.
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tmpdir } from 'node:os';
import { createSecureContext } from 'node:tls';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { ConfigInputs } from '../../src/config/load-config.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { settings } from '../../src/config/settings.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('without any source the defaults are loaded', () => {
  const config = loaded({});
  assert.equal(config.prefix, path.join(folder, 'portunus-data'));
  assert.equal(config.workers, availableParallelism());
  assert.deepEqual(
    config.proxyListen.map(({ host, port, ssl }) => [host, port, ssl]),
    [
      ['0.0.0.0', 8000, false],
      ['0.0.0.0', 8443, true],
    ],
  );
  assert.deepEqual(
    config.adminListen.map(({ host, port }) => [host, port]),
    [['127.0.0.1', 8001]],
  );
  assert.deepEqual(
    config.statusListen.map(({ host, port }) => [host, port]),
    [['127.0.0.1', 8007]],
  );
  assert.deepEqual([config.sslMinVersion, config.sslMaxVersion], ['TLSv1.2', 'TLSv1.3']);
  assert.deepEqual(config.sslCertificates, []);
});

test('a configuration survives structured clone and JSON', () => {
  const config = loaded({});
  assert.deepEqual(structuredClone(config), config);
  assert.deepEqual(JSON.parse(JSON.stringify(config)), JSON.parse(JSON.stringify(structuredClone(config))));
});

test('the environment wins over the file, and the command line over both', () => {
  const file = write('order.yaml', 'workers: 1\nlog_level: error\nssl_min_rsa_bits: 3072\n');
  const result = loadConfig({
    file,
    env: { PORTUNUS_WORKERS: '2', PORTUNUS_LOG_LEVEL: 'warn' },
    flags: { workers: '3' },
    cwd: folder,
  });
  assert.ok(result.kind === 'loaded');
  assert.equal(result.config.workers, 3);
  assert.equal(result.config.logLevel, 'warn');
  assert.equal(result.config.sslMinRsaBits, 3072);
  const { workers, log_level, ssl_min_rsa_bits, prefix } = result.sources;
  assert.deepEqual(
    [workers, log_level, ssl_min_rsa_bits, prefix],
    ['command line', 'environment PORTUNUS_LOG_LEVEL', file, 'default'],
  );
});

test('an empty value is the default again', () => {
  const file = write('empty.conf', 'workers = 7\ntrusted_ips =\n');
  assert.equal(loaded({ file, env: { PORTUNUS_WORKERS: '' } }).workers, availableParallelism());
});

test('YAML gives lists, numbers and booleans as they are', () => {
  const file = write(
    'native.yaml',
    [
      'proxy_listen:',
      '  - 0.0.0.0:80 reuseport',
      '  - "[::]:443 ssl"',
      'trusted_ips: [10.0.0.0/8, "::1"]',
      'workers: 0',
      'real_ip_recursive: true',
      'ssl_session_tickets: off',
      'ssl_protocols: [TLSv1.3]',
    ].join('\n'),
  );
  const config = loaded({ file });
  assert.deepEqual(
    config.proxyListen.map(({ host, port, ssl, reuseport }) => [host, port, ssl, reuseport]),
    [
      ['0.0.0.0', 80, false, true],
      ['::', 443, true, false],
    ],
  );
  assert.deepEqual(config.trustedIps, ['10.0.0.0/8', '::1/128']);
  assert.equal(config.workers, 0);
  assert.equal(config.realIpRecursive, true);
  assert.equal(config.sslSessionTickets, false);
  assert.deepEqual([config.sslMinVersion, config.sslMaxVersion], ['TLSv1.3', 'TLSv1.3']);
});

test('the usual places are searched when no file is named', () => {
  const cwd = mkdtempSync(path.join(folder, 'cwd-'));
  writeFileSync(path.join(cwd, 'portunus.conf'), 'log_level = debug\n');
  const result = loadConfig({ env: {}, flags: {}, cwd });
  assert.ok(result.kind === 'loaded');
  assert.equal(result.file, path.join(cwd, 'portunus.conf'));
  assert.equal(result.config.logLevel, 'debug');
});

test('a path in a file starts from the folder of the file, others from the working directory', () => {
  const other = mkdtempSync(path.join(folder, 'other-'));
  const file = path.join(other, 'portunus.yaml');
  writeFileSync(file, 'prefix: data\n');
  assert.equal(loaded({ file }).prefix, path.join(other, 'data'));
  assert.equal(loaded({ flags: { prefix: 'data' } }).prefix, path.join(folder, 'data'));
});

test('every problem is told at once, with its name, value, source and what is expected', () => {
  const problems = refused({
    env: { PORTUNUS_WORKERS: 'many', PORTUNUS_CLIENT_BODY_TIMEOUT: '1 fortnight' },
    flags: { ssl_min_rsa_bits: '512', log_level: 'loud', proxy_listen: 'localhost:80' },
  });
  assert.deepEqual(
    problems.map(({ name, value, source }) => [name, value, source]),
    [
      ['workers', 'many', 'environment PORTUNUS_WORKERS'],
      ['proxy_listen', 'localhost:80', 'command line'],
      ['ssl_min_rsa_bits', '512', 'command line'],
      ['client_body_timeout', '1 fortnight', 'environment PORTUNUS_CLIENT_BODY_TIMEOUT'],
      ['log_level', 'loud', 'command line'],
    ],
  );
  assert.deepEqual(problems.map(formatProblem).slice(2), [
    'ssl_min_rsa_bits = 512 (command line): expected a whole number from 1024 to 16384',
    'client_body_timeout = 1 fortnight (environment PORTUNUS_CLIENT_BODY_TIMEOUT): expected a duration from 100ms to 1d, such as 500ms or 5s',
    'log_level = loud (command line): expected debug, info, warn, error or silent',
  ]);
});

test('every setting refuses a value that is not of its kind', () => {
  const anything = new Set(['text', 'secret', 'path', 'output']);
  for (const [name, setting] of Object.entries(settings)) {
    if (anything.has(setting.kind)) continue;
    const problems = refused({ flags: { [name]: '\u0000 nonsense ,' } });
    assert.ok(
      problems.some((problem) => problem.name === name),
      name,
    );
  }
});

test('every example of a size or a duration is one that the setting takes', () => {
  for (const [name, { kind }] of Object.entries(settings)) {
    if (kind !== 'size' && kind !== 'duration') continue;
    const [problem] = refused({ flags: { [name]: 'nonsense' } });
    const [, examples = ''] = /, such as (.+)$/.exec(problem?.expected ?? '') ?? [];
    assert.notEqual(examples, '', name);
    for (const example of examples.split(' or '))
      assert.equal(load({ flags: { [name]: example } }).kind, 'loaded', `${name} = ${example}`);
  }
});

test('every default is accepted when it is written out', () => {
  const flags = Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, setting.default]));
  assert.deepEqual(loaded({ flags }), loaded({}));
});

test('every limit itself is accepted, and one past it refused', () => {
  for (const [name, setting] of Object.entries(settings)) {
    if (!('min' in setting)) continue;
    const unit = setting.kind === 'duration' ? 'ms' : '';
    for (const value of [setting.min, setting.max]) {
      assert.equal(load({ flags: { [name]: `${value}${unit}` } }).kind, 'loaded', `${name} = ${value}`);
    }
    for (const value of [setting.min - 1, setting.max + 1]) {
      assert.equal(load({ flags: { [name]: `${value}${unit}` } }).kind, 'refused', `${name} = ${value}`);
    }
  }
});

test('an unknown setting is a problem that names the closest one', () => {
  const [problem] = refused({ file: write('typo.yaml', 'proxy_listn: off\n') });
  assert.equal(problem?.message, 'there is no setting proxy_listn; did you mean proxy_listen?');
  assert.equal(refused({ flags: { zzzzzz: '1' } })[0]?.message, 'there is no setting zzzzzz');
});

test('a setting of Kong that has another form here says which', () => {
  const messages = refused({
    file: write('kong.conf', 'mem_cache_size = 128m\nnginx_http_x = 1\nssl = on\n'),
  });
  assert.match(messages[0]?.message ?? '', /use tls_contexts_max/);
  assert.match(messages[1]?.message ?? '', /no nginx/);
  assert.match(messages[2]?.message ?? '', /flag ssl of a listener/);
});

test('an unknown variable of the environment is a warning', () => {
  const result = load({ env: { PORTUNUS_WORKER: '1', PORTUNUS_KEYRING_KEYS: 'a:b', HOME: '/' } });
  assert.equal(result.kind, 'loaded');
  assert.deepEqual(result.warnings, [
    { name: 'PORTUNUS_WORKER', message: 'there is no setting worker; did you mean workers?' },
  ]);
});

test('an address and port belongs to one listener', () => {
  const problems = refused({ flags: { admin_listen: '127.0.0.1:9', status_listen: '127.0.0.1:9' } });
  assert.deepEqual(
    problems.map(({ name }) => name),
    ['status_listen'],
  );
  assert.equal(load({ flags: { admin_listen: '127.0.0.1:0', status_listen: '127.0.0.1:0' } }).kind, 'loaded');
});

test('an Admin API that other machines reach is refused without TLS, until a setting says that it is meant', () => {
  for (const address of ['0.0.0.0:8001', '[::]:8001', '192.0.2.1:8001', '127.0.0.1:8001, 10.0.0.1:8001']) {
    const problems = refused({ flags: { admin_listen: address } });
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.message ?? '', /without TLS others read them on the way/);
  }
  const open = load({ flags: { admin_listen: '0.0.0.0:8001', admin_auth: 'off' } });
  assert.equal(open.kind, 'loaded');
  assert.match(open.warnings[0]?.message ?? '', /open to everyone/);
  assert.equal(load({ flags: { admin_listen: '0.0.0.0:8001', admin_plain_http: 'on' } }).kind, 'loaded');
  assert.equal(load({ flags: { admin_listen: '127.9.9.9:8001, [::1]:8001' } }).kind, 'loaded');
});

test('an Admin API with TLS may be reached, and its certificate is read as that of clients', () => {
  assert.equal(loaded({ flags: { admin_listen: '0.0.0.0:8444 ssl' } }).adminListen[0]?.ssl, true);
  assert.equal(refused({ flags: { admin_listen: '0.0.0.0:8444 ssl, 0.0.0.0:8001' } })[0]?.value, '0.0.0.0:8001');
  const { cert, key } = makeSelfSigned({ names: ['admin.test'] });
  const { adminCertificates, sslCertificates } = loaded({ flags: { admin_ssl_cert: cert, admin_ssl_cert_key: key } });
  assert.deepEqual([adminCertificates, sslCertificates], [[{ chain: cert, key }], []]);
  const [missing] = refused({ flags: { admin_ssl_cert: cert } });
  assert.deepEqual([missing?.name, missing?.message], ['admin_ssl_cert_key', 'admin_ssl_cert_key must be specified']);
});

test('a secret on the command line is warned of, and not shown; what is none is not', () => {
  const { key } = makeSelfSigned({ names: ['a.test'] });
  const warned = (name: string, value: string): boolean =>
    load({ flags: { [name]: value } }).warnings.some(
      (warning) => warning.name === name && /command line/.test(warning.message) && !warning.message.includes(value),
    );
  assert.ok(warned('pg_password', 'swordfish'));
  assert.ok(warned('pg_url', 'postgres://portunus:swordfish@db/portunus'));
  assert.ok(warned('ssl_cert_key', key));
  assert.ok(warned('ssl_cert_key', Buffer.from(key).toString('base64')));
  assert.ok(!warned('pg_url', 'postgres://portunus@db:5432/portunus'));
  assert.ok(!warned('ssl_cert_key', '/etc/portunus/server.key'));
  const { warnings } = load({ env: { PORTUNUS_PG_PASSWORD: 'swordfish' } });
  assert.ok(!warnings.some(({ message }) => /command line/.test(message)));
});

test('authorities of callers of the Admin API are read, and refused where they would let in nobody or be of no use', () => {
  const root = makeAuthority();
  const leaf = root.issue({ names: ['a.test'] });
  const tls = { admin_listen: '0.0.0.0:8444 ssl' };
  assert.equal(loaded({ flags: tls }).adminClients, undefined);
  const list = root.revoke([leaf.cert]);
  const flags = { ...tls, admin_ssl_client_ca: root.certificate, admin_ssl_client_crl: list };
  assert.deepEqual(
    loaded({ flags: { ...flags, admin_ssl_verify_client: 'on', admin_ssl_client_role: 'read' } }).adminClients,
    {
      roots: root.certificate,
      revocations: [list.trim()],
      isDemanded: true,
      role: 'read',
    },
  );
  const refusals: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ admin_ssl_client_ca: root.certificate }, /no listener in admin_listen has TLS/],
    [{ ...tls, admin_ssl_client_ca: leaf.cert }, /failed loading certificates of authorities/],
    [{ ...tls, admin_ssl_client_ca: 'nowhere.pem' }, /from nowhere\.pem/],
    [{ ...flags, admin_ssl_client_crl: root.certificate }, /failed loading a CRL/],
    [{ ...tls, admin_ssl_verify_client: 'on' }, /no effect without admin_ssl_client_ca/],
    [{ ...tls, admin_ssl_client_role: 'read' }, /no effect without admin_ssl_client_ca/],
  ];
  for (const [wrong, message] of refusals) assert.match(refused({ flags: wrong })[0]?.message ?? '', message);
  const proven = { ...flags, admin_auth: 'off', admin_ssl_verify_client: 'on' };
  assert.deepEqual(load({ flags: proven }).warnings, []);
  assert.match(
    load({ flags: { ...proven, admin_ssl_verify_client: 'optional' } }).warnings[0]?.message ?? '',
    /open to/,
  );
});

test('TLS on the status listener is refused with what to do', () => {
  const [problem] = refused({ flags: { status_listen: '127.0.0.1:8444 ssl' } });
  assert.match(problem?.message ?? '', /not supported yet; keep it on 127\.0\.0\.1/);
});

test('PostgreSQL by its parts', () => {
  const { postgres } = loaded({
    flags: { database: 'postgres', pg_host: 'db.test', pg_password: 'secret', pg_ssl: 'on', pg_timeout: '2s' },
  });
  assert.deepEqual(postgres, {
    host: 'db.test',
    port: 5432,
    user: 'portunus',
    password: 'secret',
    database: 'portunus',
    schema: 'public',
    tls: { verify: true, trustedCertificates: undefined },
    timeoutMs: 2000,
    poolSize: 4,
  });
  assert.equal(loaded({}).postgres, undefined);
});

test('PostgreSQL by a URL', () => {
  const of = (pg_url: string) => loaded({ flags: { database: 'postgres', pg_url } }).postgres;
  const url = of('postgres://me:p%40ss@[::1]:6000/gate?sslmode=verify-full');
  assert.deepEqual(
    [url?.host, url?.port, url?.user, url?.password, url?.database, url?.tls?.verify],
    ['::1', 6000, 'me', 'p@ss', 'gate', true],
  );
  assert.equal(of('postgresql://me@db/gate')?.tls, undefined);
  assert.equal(of('postgres://me@db/gate?sslmode=require')?.tls?.verify, false);
});

test('a URL of PostgreSQL that is wrong is refused without being repeated', () => {
  for (const pg_url of [
    'nonsense-secret',
    'mysql://me:secret@db/gate',
    'postgres://me:secret@db',
    'postgres://:secret@db/gate',
    'postgres://me:secret@db/gate?sslmode=prefer',
    'postgres://me:secret@db/gate?options=x',
  ]) {
    const problems = refused({ flags: { database: 'postgres', pg_url } });
    assert.deepEqual(
      problems.map(({ name, value }) => [name, value]),
      [['pg_url', '(hidden)']],
      pg_url,
    );
    assert.doesNotMatch(JSON.stringify(problems), /secret/);
  }
  const twice = refused({ flags: { database: 'postgres', pg_url: 'postgres://a@b/c', pg_host: 'd' } });
  assert.deepEqual(
    twice.map(({ name }) => name),
    ['pg_host'],
  );
});

test('what is private is not shown', () => {
  const result = load({ flags: { database: 'postgres', pg_password: 'secret' } });
  assert.equal(result.kind, 'loaded');
  assert.equal(result.settings.pg_password, '(hidden)');
  assert.doesNotMatch(JSON.stringify(result.settings), /secret/);
});

test('an unknown cipher suite is refused', () => {
  const [problem] = refused({ flags: { ssl_cipher_suite: 'fips' } });
  assert.match(problem?.message ?? '', /^Undefined cipher suite fips/);
  const [long] = refused({ flags: { ssl_cipher_suite: 'fips'.repeat(1000) } });
  assert.ok((long?.message.length ?? Infinity) < 200);
});

test('each cipher suite is one that OpenSSL takes', () => {
  for (const suite of ['modern', 'intermediate', 'old']) {
    const { sslCiphers, sslMinVersion } = loaded({ flags: { ssl_cipher_suite: suite } });
    createSecureContext({ ciphers: sslCiphers });
    assert.equal(sslMinVersion, suite === 'modern' ? 'TLSv1.3' : 'TLSv1.2');
  }
});

test('modern ciphers and TLS 1.2 contradict each other', () => {
  const [problem] = refused({ flags: { ssl_cipher_suite: 'modern', ssl_protocols: 'TLSv1.2 TLSv1.3' } });
  assert.equal(problem?.name, 'ssl_protocols');
});

test('custom ciphers keep TLS 1.3 and must exist', () => {
  const given = 'ECDHE-ECDSA-AES128-GCM-SHA256';
  const { sslCiphers } = loaded({ flags: { ssl_cipher_suite: 'custom', ssl_ciphers: given } });
  assert.ok(sslCiphers.startsWith('TLS_AES_128_GCM_SHA256:') && sslCiphers.endsWith(`:${given}`));
  assert.equal(refused({ flags: { ssl_cipher_suite: 'custom', ssl_ciphers: 'nonsense' } })[0]?.name, 'ssl_ciphers');
  assert.equal(refused({ flags: { ssl_cipher_suite: 'custom' } })[0]?.name, 'ssl_ciphers');
  assert.equal(load({ flags: { ssl_ciphers: given } }).warnings[0]?.name, 'ssl_ciphers');
});

test('old versions of TLS are refused', () => {
  const [problem] = refused({ flags: { ssl_protocols: 'TLSv1.1 TLSv1.2' } });
  assert.deepEqual([problem?.name, problem?.value], ['ssl_protocols', 'TLSv1.1']);
});

test('admin_hosts are names, read in one spelling', () => {
  assert.deepEqual(loaded({ flags: { admin_hosts: 'Gateway.Example.com., a.test' } }).adminHosts, [
    'gateway.example.com',
    'a.test',
  ]);
  for (const wrong of ['gateway.example.com:8001', 'https://a.test', '*.a.test', 'a..test'])
    assert.match(refused({ flags: { admin_hosts: wrong } })[0]?.expected ?? '', /host names without ports/);
});

test('trusted_ips that are no addresses are refused', () => {
  const [problem] = refused({ flags: { trusted_ips: '10.0.0.0/8, proxy.test' } });
  assert.match(problem?.message ?? '', /^trusted_ips must be a comma separated list in the form of/);
  assert.equal(problem?.value, 'proxy.test');
});

test('a keyring of the environment must be there', () => {
  assert.equal(refused({ flags: { keyring: 'env' } })[0]?.name, 'keyring');
  assert.equal(load({ flags: { keyring: 'env' }, env: { PORTUNUS_KEYRING_KEYS: 'a:b' } }).kind, 'loaded');
});

test("levels and switches have Kong's other words", () => {
  const config = loaded({ flags: { log_level: 'notice', real_ip_recursive: 'YES', admin_auth: 'off' } });
  assert.deepEqual([config.logLevel, config.realIpRecursive, config.adminAuth], ['info', true, 'off']);
});

test('an access log is a file, stdout or off', () => {
  assert.equal(loaded({ flags: { proxy_access_log: 'off' } }).proxyAccessLog, 'off');
  assert.equal(loaded({ flags: { proxy_access_log: 'a.log' } }).proxyAccessLog, path.join(folder, 'a.log'));
});

function load(inputs: Partial<ConfigInputs>) {
  return loadConfig({ file: inputs.file ?? none(), env: inputs.env ?? {}, flags: inputs.flags ?? {}, cwd: folder });
}

function loaded(inputs: Partial<ConfigInputs>): Config {
  const result = load(inputs);
  if (result.kind === 'refused') assert.fail(result.problems.map(formatProblem).join('\n'));
  return result.config;
}

function refused(inputs: Partial<ConfigInputs>) {
  const result = load(inputs);
  assert.ok(result.kind === 'refused');
  return result.problems;
}

/** An empty file: what lies in the usual places of this machine must not matter. */
function none(): string {
  return write('none.yaml', '');
}

function write(name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}
