// Smuggling tried on the whole gateway, between real sockets, in both directions: what is refused is answered with its code
// and nothing behind it is served; what is taken reaches the upstream in the one form that cannot be read in two ways.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { errorCodes, type ErrorCode } from '../../src/lib/errors.ts';
import { readMessage } from '../http1/read-message.ts';
import { type Refused, refusedRequests } from '../http1/refused-requests.ts';
import { refusedResponses } from '../http1/refused-responses.ts';
import { smuggledRequests, smuggledResponses } from '../http1/refused-smuggling.ts';
import { takenRequests } from '../http1/taken-requests.ts';
import { takenResponses } from '../http1/taken-responses.ts';
import { readGoRequests } from '../support/go-requests.ts';
import { readResponses } from '../support/read-responses.ts';
import { until } from '../support/until.ts';
import { answering, fieldOf, type Gateway, type RawClient, startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const tail = 'GET /tail HTTP/1.1\r\nHost: a\r\n\r\n';
/** Those of the codec's own tests, so that the same messages are beyond them. */
const settings = {
  requestHeadMaxBytes: 4096,
  requestHeadersMax: 20,
  requestTargetMaxBytes: 256,
  upstreamResponseHeadMaxBytes: 4096,
};
/** Sockets that are open at a time. */
const atOnce = 20;

/** Answers each whole request, read by rules that are not ours, and keeps all that came. */
function answeringRequests(): { readonly onConnection: (client: RawClient) => void; readonly received: () => string } {
  const connections: RawClient[] = [];
  return {
    onConnection(client) {
      connections.push(client);
      let answered = 0;
      client.socket.on('data', () => {
        const { requests } = readGoRequests(client.received);
        for (; answered < requests.length; answered += 1) {
          client.send(requests[answered]?.method === 'HEAD' ? ok.slice(0, -2) : ok);
        }
      });
    },
    received: () => connections.map((client) => client.received).join(''),
  };
}

suite('a request', () => {
  test('that is refused gets its status and its code, and what follows on the connection is not served', async () => {
    const { onConnection, received } = answeringRequests();
    await using upstream = await startRawUpstream(onConnection);
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
    const all = [...refusedRequests, ...smuggledRequests];
    await inTurns(all, async ({ name, message, code }) => {
      using client = await gateway.connect();
      client.send(`GET /before HTTP/1.1\r\nHost: a\r\n\r\n${message}${tail}`);
      assert.equal((await client.response()).status, 200, name);
      await assertRefusedAlone(client, name, code);
    });
    assert.equal(gateway.entries.length, all.length * 2);
    assert.doesNotMatch(received(), /smuggled|tail|\r\n0\r\n\r\n/);
  });

  test('that is refused is refused as well when its end comes later', async () => {
    const { onConnection, received } = answeringRequests();
    await using upstream = await startRawUpstream(onConnection);
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
    await inTurns([...refusedRequests, ...smuggledRequests], async ({ name, message, code }) => {
      using client = await gateway.connect();
      const middle = Math.min(Math.floor(message.length / 2), 1000);
      client.send(message.slice(0, middle));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(message.slice(middle) + tail);
      await assertRefusedAlone(client, name, code);
    });
    assert.doesNotMatch(received(), /smuggled|tail|\r\n0\r\n\r\n/);
  });

  for (const { name, message, bodies, forwarded } of takenRequests) {
    test(`that is taken reaches the upstream in one form: ${name}`, async () => {
      const { onConnection, received } = answeringRequests();
      await using upstream = await startRawUpstream(onConnection);
      await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
      using client = await gateway.connect();
      client.send(message);
      await until(`${bodies.length} answers`, () => client.received.split('HTTP/1.1 200 ').length > bodies.length);
      assert.equal(withoutAdded(received()), forwarded);
    });
  }
});

suite('a response', () => {
  test('that is refused never reaches the client whole, and its connection serves nobody else', async () => {
    const all = [...refusedResponses, ...smuggledResponses];
    await using upstream = await startRawUpstream((connection) => {
      connection.socket.on('data', () => {
        const asked = /^GET \/(\d+) /.exec(connection.received)?.[1];
        connection.received = '';
        connection.send(asked === undefined ? ok : `${all[Number(asked)]?.message}${ok.replace(/ok$/, 'no')}`);
      });
    });
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
    await inTurns([...all.entries()], ([index, refused]) => assertCut(gateway, index, refused));
    assert.equal(gateway.counted.filter((kind) => kind === 'failed:malformed').length, all.length);
    assert.equal(gateway.counted.filter((kind) => kind === 'reused').length, 0);
  });

  for (const { name, method = 'GET', message, ends = false, forwarded, reused } of takenResponses) {
    test(`that is taken reaches the client in one form: ${name}`, async () => {
      await using upstream = await startRawUpstream((connection) => {
        connection.socket.on('data', () => {
          const isSecond = connection.received.includes('/second');
          connection.received = '';
          connection.send(isSecond ? ok : message);
          if (ends && !isSecond) connection.socket.end();
        });
      });
      await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
      using client = await gateway.connect();
      client.send(`${method} /first HTTP/1.1\r\nHost: a\r\n\r\n`);
      await until('a whole response', () => readResponses(client.received, [method], client.ended)[0]?.whole);
      assert.equal(withoutAddedToResponse(client.received), forwarded);
      client.received = '';
      client.send('GET /second HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await client.response()).body, 'ok');
      assert.equal(client.received, '');
      assert.equal(gateway.counted.includes('reused'), reused);
    });
  }
});

suite('what is left of a request', () => {
  const post = `POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: ${tail.length}\r\n`;

  test('that was answered early is not read as another, here or at the upstream', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
    using client = await gateway.connect();
    client.send(`${post}\r\n`);
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send(ok);
    const response = await client.response();
    assert.deepEqual([response.status, response.field('Connection')], [200, 'close']);
    client.send(tail);
    assert.equal(await client.rest(), '');
    using other = await gateway.connect();
    other.send('GET /other HTTP/1.1\r\nHost: a\r\n\r\n');
    await (await upstream.connection(1)).take('\r\n\r\n');
    await until('the first connection has gone', () => connection.closed || connection.ended);
    assert.doesNotMatch(connection.received, /tail/);
  });

  test('that waits for 100 is its body, whatever it looks like', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
    using client = await gateway.connect();
    client.send(`${post}Expect: 100-continue\r\n\r\n`);
    assert.equal(await client.take('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
    client.send(tail);
    const connection = await upstream.connection(0);
    await connection.take(tail);
    connection.send(ok);
    assert.equal((await client.response()).status, 200);
    assert.equal(connection.received, '');
    assert.equal(gateway.entries.length, 1);
  });

  test('that was refused an expectation is not read as another', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
    using client = await gateway.connect();
    client.send(`${post}Expect: 100-continue-please\r\n\r\n${tail}`);
    assert.equal((await client.response()).status, 417);
    assert.equal(await client.rest(), '');
    assert.equal(upstream.connections.length, 0);
  });

  for (const [name, answer] of [
    ['200', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['426', 'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nok'],
  ] as const) {
    test(`to change to WebSocket that gets ${name} is routed as a request, not passed through`, async () => {
      await using upstream = await startRawUpstream(answering(answer));
      await using gateway = await startGateway({
        upstreamPort: upstream.port,
        settings,
        match: (_method, _host, path, route) => (path === '/tail' ? undefined : { route, prefix: '' }),
      });
      using client = await gateway.connect();
      client.send(
        `GET /first HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\n${tail}`,
      );
      assert.equal((await client.response()).status, Number(name));
      assert.equal((await client.response()).status, 404);
      assert.doesNotMatch(upstream.connections.map(({ received }) => received).join(''), /tail/);
    });
  }
});

async function assertCut(gateway: Gateway, index: number, { name, message }: Refused): Promise<void> {
  using client = await gateway.connect();
  client.send(`GET /${index} HTTP/1.1\r\nHost: a\r\n\r\n`);
  const headEnd = message.indexOf('\r\n\r\n') + 4;
  if (headEnd > 4 && readMessage('response', message.slice(0, headEnd)).outcome === 'incomplete') {
    // It is the body that is malformed, and that the response has begun cannot be taken back.
    const text = await client.rest();
    assert.ok(!/smuggled|0\r\n\r\n/.test(text), name);
  } else {
    const { status, body } = await client.response();
    assert.equal(status, 502, name);
    assert.equal((JSON.parse(body) as { readonly code: string }).code, 'UPSTREAM_RESPONSE_INVALID', name);
    assert.equal(client.received, '', name);
  }
}

/** The answer that a refusal is, the end of the connection, and nothing between. */
async function assertRefusedAlone(client: RawClient, name: string, code: string): Promise<void> {
  const { status, head, body } = await client.response();
  assert.equal(status, errorCodes[code as ErrorCode].status, name);
  assert.match(fieldOf(head, 'Connection') ?? '', /close/, name);
  assert.equal((JSON.parse(body) as { readonly code: string }).code, code, name);
  assert.equal(await client.rest(), '', name);
}

/** Each once, as many at a time as there may be. */
async function inTurns<T>(all: readonly T[], one: (item: T) => Promise<void>): Promise<void> {
  const turns = all.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of turns) await one(item);
    }),
  );
}

/** What is forwarded, without the fields that say where each request came from. */
function withoutAdded(text: string): string {
  return text.replace(
    /X-Real-IP: 127\.0\.0\.1\r\nX-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8000\r\nX-Forwarded-Host: a?\r\nX-Forwarded-Path: \S+\r\nVia: 1\.1 portunus\r\nX-Portunus-Request-Id: [0-9a-f]{32}\r\n/g,
    '',
  );
}

/** What the client gets, without what says who answered when. */
function withoutAddedToResponse(text: string): string {
  return text.replace(
    /Via: 1\.[01] portunus\r\n(?:X-Portunus-Upstream-Latency: \d+\r\nX-Portunus-Proxy-Latency: \d+\r\nX-Portunus-Request-Id: [0-9a-f]{32}\r\nDate: [^\r]+\r\n)?/g,
    '',
  );
}
