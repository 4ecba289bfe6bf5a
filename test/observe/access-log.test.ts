// The access log as a file, a pipe, and a destination that fails.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tmpdir } from 'node:os';
import { createAccessLog } from '../../src/observe/access-log.ts';
import type { AccessEntry } from '../../src/observe/contract.ts';
import { until } from '../support/until.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-access-log-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('lines reach the file when the log is closed', async () => {
  const file = path.join(folder, 'closed.log');
  const log = createAccessLog({ destination: file });
  for (let id = 0; id < 1000; id += 1) log.write(entry(String(id)));
  await log[Symbol.asyncDispose]();
  assert.deepEqual(
    ids(file),
    Array.from({ length: 1000 }, (_, id) => String(id)),
  );
});

test('lines reach the file by themselves', async () => {
  const file = path.join(folder, 'timed.log');
  await using log = createAccessLog({ destination: file });
  log.write(entry('a'));
  await until('the line is written', () => ids(file).length === 1);
});

test('a file that exists is continued', async () => {
  const file = path.join(folder, 'continued.log');
  for (const id of ['a', 'b']) {
    await using log = createAccessLog({ destination: file });
    log.write(entry(id));
  }
  assert.deepEqual(ids(file), ['a', 'b']);
});

test('after reopen the lines go to a new file, and none is lost', async () => {
  const file = path.join(folder, 'moved.log');
  const log = createAccessLog({ destination: file });
  log.write(entry('before'));
  await log.flush();
  renameSync(file, `${file}.1`);
  log.write(entry('between'));
  log.reopen();
  log.write(entry('after'));
  await log[Symbol.asyncDispose]();
  assert.deepEqual([...ids(`${file}.1`), ...ids(file)], ['before', 'between', 'after']);
  assert.equal(ids(file).at(-1), 'after');
});

test('what the buffer cannot hold is dropped and counted', async () => {
  const file = path.join(folder, 'bounded.log');
  let dropped = 0;
  const log = createAccessLog({ destination: file, bufferMax: 2000, dropped: (lines) => (dropped += lines) });
  for (let id = 0; id < 100; id += 1) log.write(entry(String(id)));
  await log[Symbol.asyncDispose]();
  assert.ok(dropped > 0);
  assert.equal(ids(file).length + dropped, 100);
});

test('a destination that fails is told once, its lines are counted, and nothing throws', async () => {
  let dropped = 0;
  const errors: string[] = [];
  const log = createAccessLog({
    destination: '/dev/full',
    dropped: (lines) => (dropped += lines),
    failed: (error) => errors.push(error.message),
  });
  for (let id = 0; id < 10; id += 1) {
    log.write(entry(String(id)));
    await log.flush();
  }
  await log[Symbol.asyncDispose]();
  assert.equal(dropped, 10);
  assert.equal(errors.length, 1);
  assert.match(errors[0] ?? '', /ENOSPC/);
});

test('a file that cannot be opened is an error at once', () => {
  assert.throws(() => createAccessLog({ destination: path.join(folder, 'absent', 'a.log') }), { code: 'ENOENT' });
});

test('off writes nothing', async () => {
  const log = createAccessLog({ destination: 'off' });
  log.write(entry('a'));
  log.reopen();
  await log[Symbol.asyncDispose]();
});

test('a line after the end is dropped and counted', async () => {
  let dropped = 0;
  const log = createAccessLog({ destination: path.join(folder, 'late.log'), dropped: (lines) => (dropped += lines) });
  await log[Symbol.asyncDispose]();
  await log[Symbol.asyncDispose]();
  log.write(entry('late'));
  assert.equal(dropped, 1);
});

const writer = `
import { createAccessLog } from ${JSON.stringify(new URL('../../src/observe/access-log.ts', import.meta.url).href)};
let dropped = 0;
const log = createAccessLog({ destination: 'stdout', bufferMax: 300_000, dropped: (lines) => (dropped += lines) });
for (let id = 0; id < 5000; id += 1) log.write({ ...${JSON.stringify(entry('x'))}, requestId: String(id) });
await log[Symbol.asyncDispose]();
process.stderr.write(String(dropped));
`;

test('a pipe gets whole lines, in order, and the rest is counted', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', writer]);
  let output = '';
  let dropped = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (dropped += chunk));
  await new Promise((resolve) => child.on('close', resolve));
  const read = requestIds(output);
  assert.ok(read.length > 100);
  assert.equal(read.length + Number(dropped), 5000);
  assert.deepEqual(
    read,
    read.toSorted((left, right) => left - right),
  );
});

test('a pipe that nobody reads holds nobody up', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', writer]);
  child.stderr.resume();
  const code = await new Promise((resolve) => child.on('exit', resolve));
  assert.equal(code, 0);
  child.stdout.destroy();
});

test('a pipe whose reader has gone ends nothing', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', writer]);
  child.stdout.destroy();
  let dropped = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (dropped += chunk));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, dropped);
  assert.equal(Number(dropped), 5000);
});

function entry(requestId: string): AccessEntry {
  return {
    remoteAddress: '192.0.2.7',
    method: 'GET',
    target: '/',
    httpVersion: '1.1',
    host: 'a.test',
    status: 200,
    responseBodyBytes: 12,
    requestBodyBytes: 0,
    totalMs: 1,
    upstreamMs: 0.5,
    tls: true,
    serverName: 'a.test',
    apiName: 'mockbin',
    requestId,
    userAgent: 'curl/8',
    errorCode: undefined,
    errorReason: undefined,
    clientCertificate: undefined,
  };
}

function ids(file: string): readonly string[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => (JSON.parse(line) as { request_id: string }).request_id);
}

function requestIds(output: string): number[] {
  const lines = output.split('\n').filter(Boolean);
  return lines.map((line) => Number((JSON.parse(line) as { request_id: string }).request_id));
}
