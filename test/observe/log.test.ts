// The structured log: form of the lines, levels, and what never reaches them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { PortunusError } from '../../src/lib/errors.ts';
import { createLog } from '../../src/observe/log.ts';

type Line = Record<string, unknown>;

function capture(level: 'debug' | 'info' | 'warn' | 'error' | 'silent' = 'debug') {
  const lines: string[] = [];
  const log = createLog({ level, name: 'primary', destination: { write: (line: string) => lines.push(line) } });
  return { log, lines, first: (): Line => JSON.parse(lines[0] ?? '') as Line };
}

test('a line is one JSON object with level, time, name, fields and message', () => {
  const { log, lines, first } = capture();
  log.info({ port: 8000, hosts: ['a.test'] }, 'listening');
  assert.equal(lines.length, 1);
  assert.ok(lines[0]?.endsWith('}\n'));
  const { time, ...rest } = first();
  assert.deepEqual(rest, {
    level: 'info',
    pid: process.pid,
    name: 'primary',
    port: 8000,
    hosts: ['a.test'],
    msg: 'listening',
  });
  assert.equal(new Date(String(time)).toISOString(), time);
});

test('levels below the chosen one are silent', () => {
  const { log, lines } = capture('warn');
  log.debug({}, 'no');
  log.info({}, 'no');
  log.warn({}, 'yes');
  log.error({}, 'yes');
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as Line)['level']),
    ['warn', 'error'],
  );
  log.setLevel('info');
  log.info({}, 'yes');
  assert.equal(lines.length, 3);
  const silent = capture('silent');
  silent.log.error({}, 'no');
  assert.deepEqual(silent.lines, []);
});

test('what is named like a secret is redacted at any depth', () => {
  const secret = 's3cr3t-value';
  for (const name of [
    'key',
    'passphrase',
    'password',
    'private_key',
    'privateKey',
    'ssl_cert_key',
    'config.key',
    'cookie',
    'Authorization',
    'apiToken',
    'key_alt',
    'keyAlt',
    'KEY',
  ]) {
    const { log, lines } = capture();
    log.info({ [name]: secret, deep: { list: [{ [name]: secret }] } }, 'read');
    assert.ok(!lines.join('').includes(secret), name);
  }
});

test('what only speaks of a key is written', () => {
  const { log, first } = capture();
  log.info({ key_id: 'k1', keyType: 'ec' }, 'read');
  assert.equal(first()['key_id'], 'k1');
  assert.equal(first()['keyType'], 'ec');
});

test('a private key is redacted under any name', () => {
  const { log, lines } = capture();
  log.error(
    {
      body: 'x\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n',
      error: new Error('-----BEGIN PRIVATE KEY-----\nMHcCAQEE'),
    },
    'read',
  );
  assert.ok(!lines.join('').includes('MHcCAQEE'));
});

test('an error shows its type, code, message, stack and cause', () => {
  const { log, first } = capture();
  const cause = new Error('disk full');
  log.error(
    { error: new PortunusError('STORE_UNAVAILABLE', 'the store cannot be written', { cause }) },
    'write failed',
  );
  const error = first()['error'] as Line;
  assert.equal(error['type'], 'PortunusError');
  assert.equal(error['code'], 'STORE_UNAVAILABLE');
  assert.equal(error['message'], 'the store cannot be written');
  assert.match(String(error['stack']), /log\.test\.ts/);
  assert.equal((error['cause'] as Line)['message'], 'disk full');
});

test('fields with cycles, big integers and bytes are written all the same', () => {
  const { log, first } = capture();
  const cycle: Record<string, unknown> = { big: 12n, bytes: Buffer.from('abc') };
  cycle['self'] = cycle;
  log.warn(cycle, 'odd');
  assert.equal(first()['big'], '12');
  assert.equal(first()['bytes'], '[3 bytes]');
});

test('no name is twice in a line', () => {
  const { log, lines, first } = capture();
  log.info({ pid: 1, name: 'worker 2', msg: 'x', time: 'y', level: 'z' }, 'ended');
  for (const name of ['pid', 'name', 'msg', 'time', 'level'])
    assert.equal(lines[0]?.split(`"${name}":`).length, 2, name);
  const { pid, name, msg, level, field_msg } = first();
  assert.deepEqual([pid, name, msg, level, field_msg], [1, 'worker 2', 'ended', 'info', 'x']);
});

const writer = `
import { createLog } from ${JSON.stringify(new URL('../../src/observe/log.ts', import.meta.url).href)};
const log = createLog({ level: 'info', name: 'primary' });
for (let line = 0; line < 2000; line += 1) log.error({ line, text: 'x'.repeat(1000) }, 'nobody reads this');
await new Promise((resolve) => setTimeout(resolve, 1));
log.error({}, 'nor this');
process.stdout.write('alive');
`;

test('a log that cannot be written ends nothing', async () => {
  const full = openSync('/dev/full', 'w');
  const closedPipe = 'pipe';
  for (const stderr of [full, closedPipe] as const) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', writer], { stdio: ['ignore', 'pipe', stderr] });
    child.stderr?.destroy();
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.deepEqual([code, output], [0, 'alive'], String(stderr));
  }
  closeSync(full);
});
