// The command line: commands, options, what is written where, and exit codes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tmpdir } from 'node:os';
import { runCommandLine } from '../../src/cli/command-line.ts';
import type { RunGateway } from '../../src/cli/start.ts';
import { PortunusError } from '../../src/lib/errors.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));

type Started = Parameters<RunGateway>[0];

test('start runs the gateway with the configuration of all sources', async () => {
  const file = write('start.conf', 'workers = 3\nlog_level = error\n');
  const args = ['start', '-c', file, '-p', 'data', '--set', 'log_level=debug', '--set', 'trusted_ips=::1,10.0.0.0/8'];
  const { code, started, err } = await run(args, { env: { PORTUNUS_SSL_MIN_RSA_BITS: '3072' } });
  assert.deepEqual([code, err], [0, []]);
  const config = started?.config;
  assert.equal(config?.workers, 3);
  assert.equal(config?.logLevel, 'debug');
  assert.equal(config?.prefix, path.join(folder, 'data'));
  assert.equal(config?.sslMinRsaBits, 3072);
  assert.deepEqual(config?.trustedIps, ['::1/128', '10.0.0.0/8']);
  assert.match(started?.version ?? '', /^\d+\.\d+\.\d+/);
});

test('start hands on the settings as they may be shown', async () => {
  const { started } = await run(['start', '--set', 'client_body_timeout=5m', '--set', 'real_ip_recursive=on']);
  const settings = started?.settings ?? {};
  assert.equal(settings['client_body_timeout'], '5m');
  assert.equal(settings['real_ip_recursive'], true);
  assert.equal(settings['ssl_min_rsa_bits'], 2048);
  assert.equal(settings['proxy_listen'], '0.0.0.0:8000, 0.0.0.0:8443 ssl http2');
  assert.equal(settings['ssl_cert_key'], '');
  assert.equal(settings['upstream_trusted_certificates'], 'system');
});

test('start with a wrong configuration tells every problem and starts nothing', async () => {
  const { code, started, err, out } = await run(['start', '--set', 'workers=x', '--set', 'log_level=loud']);
  assert.deepEqual([code, started, out], [1, undefined, []]);
  assert.deepEqual(err, [
    'Error: the configuration at none.yaml has 2 problems',
    '  workers = x (command line): expected auto, or a whole number from 0 to 1024',
    '  log_level = loud (command line): expected debug, info, warn, error or silent',
  ]);
});

test('start tells warnings and starts all the same', async () => {
  const { code, err } = await run(['start', '--set', 'admin_listen=0.0.0.0:0', '--set', 'admin_auth=off']);
  assert.equal(code, 0);
  assert.match(err[0] ?? '', /^Warning: admin_listen: the Admin API on 0\.0\.0\.0:0 is open to everyone/);
});

test('a gateway that cannot start is told with what to do', async () => {
  const error = new PortunusError('KEYRING_MISMATCH', 'no key opens the store', { hint: 'Give it the right keyring.' });
  const { code, err } = await run(['start'], { runGateway: () => Promise.reject(error) });
  assert.deepEqual([code, err], [1, ['Error: no key opens the store', '  Give it the right keyring.']]);
});

test('a defect is told with its stack', async () => {
  const { code, err } = await run(['start'], { runGateway: () => Promise.reject(new TypeError('not a function')) });
  assert.equal(code, 1);
  assert.match(err[0] ?? '', /^Error: TypeError: not a function\n +at /);
});

test('reading the configuration again answers it, or undefined after telling why', async () => {
  const file = write('reload.conf', 'workers = 1\n');
  const reloaded: (number | undefined)[] = [];
  const { err } = await run(['start', '-c', file], {
    runGateway: ({ reload }) => {
      write('reload.conf', 'workers = 2\n');
      reloaded.push(reload()?.workers);
      write('reload.conf', 'workers = many\n');
      reloaded.push(reload()?.workers);
      return Promise.resolve();
    },
  });
  assert.deepEqual(reloaded, [2, undefined]);
  assert.match(err.join('\n'), /workers = many/);
});

test('check says that a file is valid', async () => {
  const file = write('valid.yaml', 'workers: 2\n');
  const valid = { code: 0, out: [`configuration at ${file} is valid`], err: [], started: undefined };
  assert.deepEqual(await run(['check', file]), valid);
  assert.deepEqual(await run(['check', '-c', file]), valid);
});

test('check says every problem of a file', async () => {
  const file = write('invalid.yaml', 'workers: x\nproxy_listn: off\n');
  const { code, out, err } = await run(['check', file]);
  assert.deepEqual([code, out, err.length], [1, [], 3]);
  assert.equal(err[1], `  proxy_listn (${file}): there is no setting proxy_listn; did you mean proxy_listen?`);
});

test('check --json answers with all there is to know', async () => {
  const file = write('json.yaml', 'workers: 2\nssl_min_rsa_bits: 1\n');
  const { code, out, err } = await run(['check', file, '--json']);
  assert.deepEqual([code, err], [1, []]);
  const answer = JSON.parse(out.join('\n')) as { valid: boolean; file: string; problems: { name: string }[] };
  assert.deepEqual(
    [answer.valid, answer.file, answer.problems.map(({ name }) => name)],
    [false, file, ['ssl_min_rsa_bits']],
  );

  const valid = await run(['check', '--json', '--set', 'workers=2']);
  const { settings, sources } = JSON.parse(valid.out.join('\n')) as Record<string, Record<string, unknown>>;
  assert.equal(valid.code, 0);
  assert.deepEqual([settings?.['workers'], sources?.['workers'], sources?.['prefix']], [2, 'command line', 'default']);
});

test('check of a file that is not there is a problem', async () => {
  const { code, err } = await run(['check', path.join(folder, 'absent.yaml')]);
  assert.equal(code, 1);
  assert.match(err.join('\n'), /expected a file, and there is none/);
});

test('version prints the version, and with -a what it is built on', async () => {
  const plain = await run(['version']);
  assert.match(plain.out.join(), /^\d+\.\d+\.\d+/);
  assert.deepEqual(await run(['--version']), plain);
  const all = await run(['version', '-a']);
  assert.deepEqual(
    all.out.map((line) => line.split(' ')[0]),
    ['portunus', 'node', 'openssl', 'sqlite'],
  );
  const json = JSON.parse((await run(['version', '--json'])).out.join('\n')) as Record<string, string>;
  assert.deepEqual(
    Object.entries(json).map(([name, value]) => `${name} ${value}`),
    all.out,
  );
});

test('help is written to the standard output', async () => {
  const { code, out, err } = await run(['--help']);
  assert.deepEqual([code, err], [0, []]);
  for (const name of ['start', 'stop', 'check', 'health', 'version'])
    assert.match(out.join('\n'), new RegExp(`^  ${name} `, 'm'));
});

test('what is no command or option is an error', async () => {
  for (const args of [
    [],
    ['frob'],
    ['start', '--bogus'],
    ['start', '--set', 'x'],
    ['check', 'a', 'b'],
    ['start', '-c'],
  ]) {
    const { code, out, err, started } = await run(args);
    assert.deepEqual([code, out, started], [1, [], undefined], args.join(' '));
    assert.ok(err.length > 0);
  }
  assert.match((await run(['frob'])).err[0] ?? '', /^Error: unknown command 'frob'/);
});

interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly runGateway?: RunGateway;
}

/** With an empty file in the usual place, so that none of this machine matters. */
async function run(args: readonly string[], { env = {}, runGateway }: RunOptions = {}) {
  write('portunus.yaml', '');
  const out: string[] = [];
  const err: string[] = [];
  let started: Started | undefined;
  const code = await runCommandLine(args, {
    terminal: { out: (line) => out.push(line), err: (line) => err.push(line), progress: undefined },
    env,
    cwd: folder,
    runExport: () => Promise.reject(new Error('not here')),
    runImport: () => Promise.reject(new Error('not here')),
    runMigration: () => Promise.reject(new Error('not here')),
    keyringCommands: () => Promise.reject(new Error('not asked for')),
    tokenCommands: () => Promise.reject(new Error('not asked for')),
    runGateway:
      runGateway ??
      ((options) => {
        started = options;
        return Promise.resolve();
      }),
  });
  return { code, out, err: err.map((line) => line.replace(path.join(folder, 'portunus.yaml'), 'none.yaml')), started };
}

function write(name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}
