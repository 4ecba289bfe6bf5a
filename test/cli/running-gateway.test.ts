// stop and health against processes that look like a gateway, and some that do not.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tmpdir } from 'node:os';
import { runCommandLine } from '../../src/cli/command-line.ts';
import { findRunningGateway } from '../../src/cli/running-gateway.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-running-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Answers its status with a given code, and ends on SIGTERM, or does not. */
const stand = `
import { createServer } from 'node:http';
const [, , , status, onTerm] = process.argv;
process.on('SIGTERM', () => { if (onTerm === 'end') process.exit(0); });
const server = createServer((request, response) => {
  response.statusCode = request.url === '/status/ready' ? Number(status) : 404;
  response.end();
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

test('nothing runs where there is no data directory, or none ran', async () => {
  for (const prefix of [path.join(folder, 'absent'), directory('empty')]) {
    assert.deepEqual(findRunningGateway(prefix), { kind: 'none' });
    for (const command of ['stop', 'health']) {
      const { code, out, err } = await run([command, '-p', prefix]);
      assert.deepEqual([code, out, err], [1, [], [`Error: Portunus is not running at ${prefix}`]]);
    }
  }
});

test('a process that is no gateway is never signalled', async () => {
  const prefix = directory('other');
  const other = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1000)']);
  await once(other.stdout, 'data');
  for (const pid of [String(other.pid), String(process.pid), '1', '0', '-1', 'x', '', '99999999']) {
    writeFileSync(path.join(prefix, 'portunus.pid'), `${pid}\n`);
    const { code, err } = await run(['stop', '-p', prefix]);
    assert.deepEqual([code, err], [1, [`Error: Portunus is not running at ${prefix}`]], pid);
  }
  assert.equal(other.exitCode, null);
  other.kill('SIGKILL');
});

test('a gateway that serves is healthy', async () => {
  await using gateway = await startStand('healthy', 200);
  const { code, out, err } = await run(['health', '-p', gateway.prefix]);
  assert.deepEqual([code, out, err], [0, [`Portunus is healthy at ${gateway.prefix}`], []]);
  const json = await run(['health', '-p', gateway.prefix, '--json']);
  const { pid, version, healthy } = JSON.parse(json.out.join('\n')) as Record<string, unknown>;
  assert.deepEqual([json.code, pid, version, healthy], [0, gateway.child.pid, '1.2.3', true]);
});

test('a gateway that is not ready, answers nothing, or is just starting, is not healthy', async () => {
  await using gateway = await startStand('unready', 503);
  const { prefix } = gateway;
  const unready = await run(['health', '-p', prefix]);
  assert.equal(unready.code, 1);
  assert.match(unready.err[0] ?? '', /^Error: Portunus is not ready at .* answered 503$/);

  gateway.publish({ status: [{ host: '127.0.0.1', port: 1, ssl: false }] });
  assert.match((await run(['health', '-p', prefix])).err[0] ?? '', /answered nothing/);
  gateway.publish({ status: [] });
  assert.match((await run(['health', '-p', prefix])).err.join(' '), /status_listen is off.*status_listen = /);
  gateway.publish({ pid: 1 });
  assert.match((await run(['health', '-p', prefix])).err[0] ?? '', /is starting at/);
  writeFileSync(path.join(prefix, 'portunus.json'), '{"pid":');
  assert.match((await run(['health', '-p', prefix])).err[0] ?? '', /is starting at/);
});

test('stop asks with SIGTERM and answers when the process has gone', async () => {
  await using gateway = await startStand('stopped', 200);
  const shown: string[] = [];
  const { code, out } = await run(['stop', '-p', gateway.prefix], (text) => shown.push(text));
  assert.deepEqual([code, out], [0, ['Portunus stopped']]);
  assert.ok(shown.length > 0);
  assert.equal(gateway.child.exitCode ?? (await gateway.exited), 0);
  assert.match((await run(['stop', '-p', gateway.prefix])).err[0] ?? '', /is not running/);
});

test('a gateway that stops already is told so, and waited for without being asked again', async () => {
  await using gateway = await startStand('stopping', 200);
  const { prefix, child } = gateway;
  renameSync(path.join(prefix, 'portunus.pid'), path.join(prefix, 'portunus.leaving'));
  assert.match((await run(['health', '-p', prefix])).err[0] ?? '', /is stopping at/);
  const isWaiting = Promise.withResolvers<void>();
  const stopped = run(['stop', '-p', prefix], () => isWaiting.resolve());
  await isWaiting.promise;
  assert.equal(child.exitCode, null);
  child.kill('SIGKILL');
  assert.deepEqual((await stopped).out, ['Portunus stopped']);
  await gateway.exited;
  assert.equal(child.signalCode, 'SIGKILL');
});

test('a configuration with other problems does not keep anyone from stopping', async () => {
  await using gateway = await startStand('broken-configuration', 200);
  const { code } = await run(['stop', '-p', gateway.prefix, '--set', 'workers=x', '--set', 'foo=1']);
  assert.equal(code, 0);
});

test('a configuration file that cannot be read does: it may name the data directory', async () => {
  const { code, err } = await run(['stop', '-c', path.join(folder, 'absent.yaml')]);
  assert.equal(code, 1);
  assert.match(err.join(' '), /there is none/);
});

interface Stand extends AsyncDisposable {
  readonly prefix: string;
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  publish(facts: object): void;
}

async function startStand(name: string, status: number): Promise<Stand> {
  const prefix = directory(name);
  const script = path.join(prefix, 'main.js');
  writeFileSync(path.join(prefix, 'package.json'), '{"type":"module"}');
  writeFileSync(script, stand);
  const child = spawn(process.execPath, [script, 'start', String(status), 'end'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const publish = (facts: object) =>
    writeFileSync(
      path.join(prefix, 'portunus.json'),
      JSON.stringify({
        pid: child.pid,
        version: '1.2.3',
        proxy: [],
        admin: [],
        status: [{ host: '0.0.0.0', port: Number(String(line)), ssl: false }],
        ...facts,
      }),
    );
  writeFileSync(path.join(prefix, 'portunus.pid'), `${child.pid}\n`);
  publish({});
  return {
    prefix,
    child,
    exited,
    publish,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function run(args: readonly string[], progress?: (text: string) => void) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(args, {
    terminal: { out: (line) => out.push(line), err: (line) => err.push(line), progress },
    env: {},
    cwd: folder,
    runExport: () => Promise.reject(new Error('not here')),
    runImport: () => Promise.reject(new Error('not here')),
    runMigration: () => Promise.reject(new Error('not here')),
    keyringCommands: () => Promise.reject(new Error('not asked for')),
    tokenCommands: () => Promise.reject(new Error('not asked for')),
    runGateway: () => Promise.reject(new Error('not asked for')),
  });
  return { code, out, err };
}

function directory(name: string): string {
  const made = path.join(folder, name);
  mkdirSync(made);
  return made;
}
