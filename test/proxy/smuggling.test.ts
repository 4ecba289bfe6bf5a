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
import { readGoRequests } from '../support/go-requests.ts';
import { until } from '../support/until.ts';
import { fieldOf, type Gateway, type RawClient, startGateway, startRawUpstream } from './http1-gateway.ts';

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
