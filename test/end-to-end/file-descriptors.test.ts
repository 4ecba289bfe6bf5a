// No descriptor is left: what is open goes on, what needs one more is refused or waits, and it passes.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const skip = process.platform !== 'linux' || spawnSync('prlimit', ['--version']).error !== undefined;

describe('with no descriptor left', { skip }, () => {
  test('a worker serves what is open, answers 503 where it needs a connection, lives, and recovers', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ workers: 1 });
    await expectOk(gateway.admin, 'POST', '/apis', { name: 'a', request_host: 'a.test', upstream_url: upstream.url });
    const [worker = assert.fail()] = gateway.workerPids();
    using open = keptConnection(gateway.plainPort);
    assert.equal((await open.get('nobody.test')).status, 404);
    limitFiles(worker, highestDescriptor(worker) + 1);
    using _rest = await takeAll(gateway.plainPort);
    const refused = await open.get('a.test');
    assert.equal(refused.status, 503);
    assert.equal(JSON.parse(refused.body).code, 'UPSTREAM_FILES_EXHAUSTED');
    for (let times = 0; times < 20; times += 1) {
      using another = keptConnection(gateway.plainPort);
      await assert.rejects(another.get('a.test'));
    }
    // Whoever watches it does not end it.
    assert.equal((await fetch(`${gateway.status}/metrics`)).status, 200);
    assert.equal((await open.get('nobody.test')).status, 404);
    assert.deepEqual(gateway.workerPids(), [worker]);
    limitFiles(worker, many);
    using later = keptConnection(gateway.plainPort);
    for (const connection of [open, later]) assert.equal((await connection.get('a.test')).status, 200);
  });

  test('the primary goes on writing, and replaces a worker as soon as it can', async () => {
    await using gateway = await startGateway({ workers: 1 });
    using admin = keptConnection(Number(new URL(gateway.admin).port));
    assert.equal((await admin.get('localhost')).status, 200);
    const [worker = assert.fail()] = gateway.workerPids();
    // Below those it has, since a worker that ends leaves some.
    limitFiles(gateway.pid, 5);
    assert.equal(
      (
        await admin.post('localhost', '/apis', {
          name: 'b',
          request_host: 'b.test',
          upstream_url: 'http://127.0.0.1:1',
        })
      ).status,
      201,
    );
    process.kill(worker, 'SIGKILL');
    await until('no process can be made', () => /worker process error/.test(gateway.output()));
    limitFiles(gateway.pid, many);
    await until('there is one', async () => {
      const { body } = await expectOk(gateway.admin, 'GET', '/status');
      return body.ready;
    });
    using client = keptConnection(gateway.plainPort);
    assert.equal((await client.get('b.test')).status, 502);
  });
});

test('a limit that is too low for client_connections_max is told at the start', { skip }, async (context) => {
  const [, hard] = /^Max open files +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  if (!(Number(hard) < 2_000_000)) return context.skip('this machine has no such limit');
  await using gateway = await startGateway({ workers: 0, settings: { client_connections_max: '1000000' } });
  assert.match(gateway.output(), /"wanted":2\d{6},.*fewer files than client_connections_max needs/);
});

const many = 4000;

function limitFiles(pid: number, max: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${max}:`]);
}

/** Up to which none may be free any more, or nearly. */
function highestDescriptor(pid: number): number {
  return Math.max(...readdirSync(`/proc/${pid}/fd`).map(Number));
}

/** Opens connections until one is refused. */
async function takeAll(port: number): Promise<Disposable> {
  const sockets: Socket[] = [];
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    // An answer shows that it was taken.
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.on('error', () => resolve(false)).on('close', () => resolve(false));
      socket.write('GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n');
      socket.once('data', () => resolve(true));
    });
    if (!isOpen) return { [Symbol.dispose]: () => sockets.forEach((each) => each.destroy()) };
  }
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One connection for all its requests. */
function keptConnection(port: number) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return {
    get: (host: string) => send('GET', host, '/'),
    post: (host: string, path: string, body: object) => send('POST', host, path, JSON.stringify(body)),
    [Symbol.dispose]: () => agent.destroy(),
  };

  function send(method: string, host: string, path: string, body?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = { host, ...(body !== undefined && { 'content-type': 'application/json' }) };
      const request = http.request({ host: '127.0.0.1', port, method, path, headers, agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      });
      request.on('error', reject);
      request.end(body);
    });
  }
}
