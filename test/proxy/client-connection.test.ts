// One client connection: persistence, pipelining, bodies, expectations, upgrades, time limits, bad input.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createSteppedClock } from '../support/stepped-clock.ts';
import { until } from '../support/until.ts';
import { refusedRequests } from '../http1/refused-requests.ts';
import { errorCodes, type ErrorCode } from '../../src/lib/errors.ts';
import { answering, fieldOf, startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

suite('persistence', () => {
  test('many requests share one client connection and one upstream connection', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    for (let count = 0; count < 5; count += 1) {
      client.send(get);
      const { status, head, body } = await client.response();
      assert.equal(status, 200);
      assert.equal(body, 'ok');
      assert.equal(fieldOf(head, 'Connection'), undefined);
    }
    assert.equal(upstream.connections.length, 1);
    assert.deepEqual(gateway.counted.filter((kind) => kind === 'opened').length, 1);
    assert.equal(gateway.counted.filter((kind) => kind === 'reused').length, 4);
  });

  test('pipelined requests are answered in order, one at a time', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(['/1', '/2', '/missing', '/3'].map((path) => get.replace('/ ', `${path} `)).join(''));
    const connection = await upstream.connection(0);
    for (const path of ['/1', '/2', '/missing', '/3']) {
      assert.match(await connection.take('\r\n\r\n'), new RegExp(`^GET ${path} `));
      assert.equal(connection.received, '');
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
      assert.equal((await client.response()).body, path);
    }
  });

  test('pipelined requests of a client that reads no answers wait, and are answered when it reads', async () => {
    const body = 'x'.repeat(60_000);
    const count = 600;
    await using upstream = await startRawUpstream(
      answering(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    );
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.socket.pause();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(count));
    let before = -1;
    let still = 0;
    await until('no more requests are taken', () => {
      const answered = gateway.entries.length;
      still = answered > 0 && answered === before ? still + 1 : 0;
      before = answered;
      return still === 20;
    });
    assert.ok(before < count, 'all 36 MB were answered into memory');
    client.socket.resume();
    for (let index = 0; index < count; index += 1) assert.equal((await client.response()).body.length, body.length);
  });

  test('pipelined requests with own answers and bodies between keep their order', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      match: (_method, _host, path, route) => (path === '/none' ? undefined : { route, prefix: '' }),
    });
    using client = await gateway.connect();
    client.send(
      `GET /none HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /none HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    assert.equal((await client.response()).status, 404);
    const connection = await upstream.connection(0);
    assert.match(await connection.take('abc'), /^POST \/b /);
    connection.send(ok);
    assert.equal((await client.response()).status, 200);
    assert.equal((await client.response()).status, 404);
  });

  test('Connection: close ends it behind the response, and so does the last request of its count', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      settings: { requestsPerConnectionMax: 2 },
    });
    using closing = await gateway.connect();
    closing.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.equal(fieldOf(await closing.rest(), 'Connection'), 'close');
    using counted = await gateway.connect();
    counted.send(get);
    assert.equal((await counted.response()).field('Connection'), undefined);
    counted.send(get);
    assert.equal((await counted.response()).field('Connection'), 'close');
    await counted.rest();
  });

  test('HTTP/1.0 is closed unless it asks to stay and the length is known', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using plain = await gateway.connect();
    plain.send('GET / HTTP/1.0\r\n\r\n');
    assert.match(await plain.rest(), /^HTTP\/1\.1 200 OK[^]*Connection: close\r\n\r\nok$/);
    using staying = await gateway.connect();
    staying.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.equal((await staying.response()).field('Connection'), 'keep-alive');
    staying.send('GET / HTTP/1.0\r\n\r\n');
    assert.equal((await staying.response()).status, 200);
  });

  test('HTTP/1.0 gets a chunked body without chunks, ended by the end of the connection', async () => {
    await using upstream = await startRawUpstream(
      answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n'),
    );
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const text = await client.rest();
    assert.equal(fieldOf(text, 'Transfer-Encoding'), undefined);
    assert.equal(fieldOf(text, 'Connection'), 'close');
    assert.ok(text.endsWith('\r\n\r\nok'));
  });

  test('a client that leaves takes its upstream request with it', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    client.socket.destroy();
    await until('the upstream connection is closed', () => connection.closed || connection.ended);
    await until('the exchange is logged', () => gateway.entries.length === 1);
    assert.equal(gateway.entries[0]?.status, 499);
    assert.equal(gateway.server.activeConnections, 0);
  });

  test('drain waits a moment for the next request on a connection that has just been answered', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    assert.equal((await client.response()).status, 200);
    const draining = gateway.server.drain();
    client.send(get);
    const { status, field } = await client.response();
    assert.equal(status, 200);
    assert.equal(field('Connection'), 'close');
    client.socket.destroy();
    await draining;
  });

  test('drain closes a connection at once that has been idle for longer', async () => {
    let time = 0;
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port, now: () => time });
    using client = await gateway.connect();
    client.send(get);
    assert.equal((await client.response()).status, 200);
    time = 1000;
    const draining = gateway.server.drain();
    await client.rest();
    client.socket.destroy();
    await draining;
  });

  test('drain closes idle connections and busy ones behind their response', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      match: (_method, _host, path, route) => (path === '/none' ? undefined : { route, prefix: '' }),
    });
    using idle = await gateway.connect();
    idle.send('GET /none HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await idle.response()).status, 404);
    using busy = await gateway.connect();
    busy.send(get);
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    await until('both are served', () => gateway.server.activeConnections === 2);
    let drained = false;
    const draining = gateway.server.drain().then(() => {
      drained = true;
    });
    await idle.rest();
    assert.equal(drained, false);
    connection.send(ok);
    const text = await busy.rest();
    assert.equal(fieldOf(text, 'Connection'), 'close');
    assert.ok(text.endsWith('ok'));
    busy.socket.destroy();
    await draining;
    assert.equal(gateway.server.activeConnections, 0);
  });

  test('drain waits a moment for the request that a new connection was opened for, and no longer', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using asking = await gateway.connect();
    using silent = await gateway.connect();
    await until('both are served', () => gateway.server.activeConnections === 2);
    const draining = gateway.server.drain();
    asking.send(get);
    const text = await asking.rest();
    assert.equal(fieldOf(text, 'Connection'), 'close');
    assert.ok(text.endsWith('ok'));
    assert.equal(await silent.rest(), '');
    for (const client of [asking, silent]) client.socket.destroy();
    await draining;
  });
});

suite('own answers', () => {
  test('404 tells what was asked', async () => {
    await using gateway = await startGateway({ match: () => undefined });
    using client = await gateway.connect();
    client.send('GET /x?y HTTP/1.1\r\nHost: Inexistent.com:8000\r\n\r\n');
    const { status, head, body } = await client.response();
    assert.equal(status, 404);
    assert.deepEqual(JSON.parse(body), {
      message: 'API not found with these values',
      request_host: ['inexistent.com'],
      request_path: '/x',
      code: 'HTTP_ROUTE_NOT_FOUND',
      request_id: fieldOf(head, 'X-Portunus-Request-Id'),
    });
    assert.equal(fieldOf(head, 'Server'), 'portunus');
    assert.equal(fieldOf(head, 'Content-Type'), 'application/json; charset=utf-8');
    assert.equal(fieldOf(head, 'Via'), undefined);
    assert.ok(fieldOf(head, 'Date') !== undefined);
  });

  test('HEAD gets the head alone, and the connection goes on', async () => {
    await using gateway = await startGateway({ match: () => undefined });
    using client = await gateway.connect();
    client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await client.response('HEAD')).status, 404);
    client.send(get);
    assert.equal((await client.response()).status, 404);
  });

  test('426 over plain HTTP, with the protocol to change to', async () => {
    await using gateway = await startGateway({ route: { httpsOnly: true } });
    using client = await gateway.connect();
    client.send(get);
    const { status, body, field } = await client.response();
    assert.equal(status, 426);
    assert.equal(body, '{"message":"Please use HTTPS protocol"}');
    assert.equal(field('Connection'), 'Upgrade');
    assert.equal(field('Upgrade'), 'TLS/1.2, HTTP/1.1');
    client.send(get);
    assert.equal((await client.response()).status, 426);
  });

  for (const [name, lines, options, status] of [
    ['over TLS', '', { tls: true }, 200],
    ['said by nobody', '', {}, 426],
    ['said by anyone, when nobody is trusted by name', 'X-Forwarded-Proto: HTTPS\r\n', {}, 200],
    ['said twice', 'X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n', {}, 426],
    ['said as http', 'X-Forwarded-Proto: http\r\n', {}, 426],
    ['said in a list', 'X-Forwarded-Proto: https, https\r\n', {}, 426],
    ['said by a trusted peer', 'X-Forwarded-Proto: https\r\n', { settings: { trustedIps: ['127.0.0.1/32'] } }, 200],
    [
      'said by a peer that is not trusted',
      'X-Forwarded-Proto: https\r\n',
      { settings: { trustedIps: ['10.0.0.0/8'] } },
      426,
    ],
  ] as const) {
    test(`a route for HTTPS alone that accepts termination in front, ${name}: ${status}`, async () => {
      await using upstream = await startRawUpstream(answering(ok));
      await using gateway = await startGateway({
        upstreamPort: upstream.port,
        route: { httpsOnly: true, httpIfTerminated: true },
        ...options,
      });
      using client = await gateway.connect();
      client.send(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`);
      assert.equal((await client.response()).status, status);
    });
  }

  test('a route for HTTPS alone that does not accept termination does not listen to X-Forwarded-Proto', async () => {
    await using gateway = await startGateway({ route: { httpsOnly: true } });
    using client = await gateway.connect();
    client.send('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n');
    assert.equal((await client.response()).status, 426);
  });

  test('every refused request is answered with its status, logged, and ends the connection', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    // Those whose limits differ here have their own tests.
    const cases = refusedRequests.filter(
      ({ code }) => !['HTTP_HEAD_TOO_LARGE', 'HTTP_FIELDS_TOO_MANY', 'HTTP_TARGET_TOO_LONG'].includes(code),
    );
    for (const { name, message, code } of cases) {
      using client = await gateway.connect();
      client.send(message);
      const { status, head, body } = await client.response();
      assert.equal(status, errorCodes[code as ErrorCode].status, name);
      assert.match(fieldOf(head, 'Connection') ?? '', /close/, name);
      const said = JSON.parse(body) as { readonly code: string; readonly request_id: string };
      assert.equal(said.code, code, name);
      assert.equal(said.request_id, fieldOf(head, 'X-Portunus-Request-Id'));
      await client.rest();
      assert.equal(client.received, '', name);
    }
    assert.equal(gateway.entries.length, cases.length);
    assert.equal(
      upstream.connections.every(({ received }) => !received.includes('0\r\n\r\n')),
      true,
    );
  });

  for (const [name, message, status] of [
    ['a target of 9000 bytes', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
    ['a head of 1 MB', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(1024 * 1024)}\r\n\r\n`, 431],
    ['10,000 fields', `GET / HTTP/1.1\r\nHost: a\r\n${'X: a\r\n'.repeat(10_000)}\r\n`, 431],
    ['a name of 1 MB', `GET / HTTP/1.1\r\nHost: a\r\n${'X'.repeat(1024 * 1024)}`, 431],
  ] as const) {
    test(`${name}: ${status}, and the client can read it while it still sends`, async () => {
      await using gateway = await startGateway();
      using client = await gateway.connect();
      client.send(message);
      const response = await client.response();
      assert.equal(response.status, status);
      assert.equal(client.error, undefined);
      assert.equal(gateway.entries[0]?.status, status);
    });
  }
});

suite('request bodies', () => {
  test('by length arrive by length, chunked arrive chunked with their trailers', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    const connection = await upstream.connection(0);
    const byLength = await connection.take('hello');
    assert.equal(fieldOf(byLength, 'Content-Length'), '5');
    connection.send(ok);
    await client.response();

    client.send(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;ext=1\r\nabc\r\n002\r\nde\r\n0\r\nX-Sum:  5\r\n\r\n',
    );
    const chunked = await connection.take('0\r\nX-Sum: 5\r\n\r\n');
    assert.equal(fieldOf(chunked, 'Transfer-Encoding'), 'chunked');
    assert.equal(fieldOf(chunked, 'Trailer'), 'X-Sum');
    assert.ok(chunked.endsWith('\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n'), chunked);
    connection.send(ok);
    await client.response();
    await until('both are logged', () => gateway.entries.length === 2);
    assert.deepEqual(
      gateway.entries.map(({ requestBodyBytes }) => requestBodyBytes),
      [5, 5],
    );
  });

  test('over client_max_body_size by length are refused before the upstream hears of them', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings: { clientMaxBodyBytes: 10 } });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n');
    const { status, field } = await client.response();
    assert.equal(status, 413);
    assert.equal(field('Connection'), 'close');
    assert.equal(upstream.connections.length, 0);
  });

  test('over client_max_body_size by count are refused when they get there, and the upstream request is cut', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings: { clientMaxBodyBytes: 10 } });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n');
    const connection = await upstream.connection(0);
    await connection.take('0123456789');
    client.send('1\r\nx\r\n');
    assert.equal((await client.response()).status, 413);
    assert.ok(!(await connection.rest()).includes('0\r\n\r\n'));
  });

  test('are asked for when there is an upstream to take them', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n');
    assert.equal(await client.take('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
    const connection = await upstream.connection(0);
    client.send('hi');
    const seen = await connection.take('hi');
    assert.equal(fieldOf(seen, 'Expect'), undefined);
    connection.send(ok);
    assert.equal((await client.response()).status, 200);
  });

  test('are not asked for when the upstream refuses', async () => {
    await using gateway = await startGateway({ upstreamPort: 1 });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n');
    assert.equal((await client.response()).status, 502);
  });

  test('malformed in the middle: 400, and the upstream request is cut', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n');
    const connection = await upstream.connection(0);
    await connection.take('2\r\nok\r\n');
    client.send('nonsense');
    assert.equal((await client.response()).status, 400);
    assert.ok(!(await connection.rest()).includes('0\r\n\r\n'));
  });

  test('that came in time leave the upstream all the time it needs', async () => {
    await using upstream = await startRawUpstream();
    const clock = createSteppedClock();
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      settings: { clientBodyTimeoutMs: 3000 },
      route: { readTimeoutMs: 10_000 },
      now: clock.now,
    });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo');
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\nbo');
    client.send('dy');
    await connection.take('dy');
    // The upstream never answers, and that is what the client is told.
    await clock.goOnUntil('it is given up', () => client.received !== '');
    assert.equal((await client.response()).status, 504);
  });

  test('that stop coming: 408', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings: { clientBodyTimeoutMs: 30 } });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe');
    const { status, field } = await client.response();
    assert.equal(status, 408);
    assert.equal(field('Connection'), 'close');
  });

  test('a response that comes early is forwarded while the body goes on, and the connection ends behind it', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc');
    const connection = await upstream.connection(0);
    await connection.take('abc');
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nABC\r\n');
    const head = await client.take('3\r\nABC\r\n');
    assert.equal(fieldOf(head, 'Connection'), 'close');
    client.send('def');
    await connection.take('def');
    connection.send('3\r\nDEF\r\n0\r\n\r\n');
    assert.equal(await client.rest(), '3\r\nDEF\r\n0\r\n\r\n');
  });

  test('a whole response that comes before the body does is delivered, though the client still sends', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc');
    const connection = await upstream.connection(0);
    await connection.take('abc');
    connection.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    client.send('x'.repeat(500_000));
    const { status, body, field } = await client.response();
    assert.equal(status, 403);
    assert.equal(body, 'no');
    assert.equal(field('Connection'), 'close');
    assert.equal(client.error, undefined);
  });
});

suite('interim responses and trailers', () => {
  test('an interim response is forwarded to HTTP/1.1, kept from HTTP/1.0', async () => {
    await using upstream = await startRawUpstream(
      answering(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n${ok}`),
    );
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n/);
    assert.equal((await client.response()).status, 200);
    using old = await gateway.connect();
    old.send('GET / HTTP/1.0\r\n\r\n');
    assert.match(await old.rest(), /^HTTP\/1\.1 200 OK/);
  });

  test('trailers of a response reach the client', async () => {
    await using upstream = await startRawUpstream(
      answering(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2;a\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n',
      ),
    );
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    const text = await client.take('0\r\nX-Sum: 7\r\n\r\n');
    assert.equal(fieldOf(text, 'Trailer'), 'X-Sum');
    assert.ok(text.endsWith('\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n'));
  });

  test('a body that ends with the upstream’s connection is given a form that keeps the client’s', async () => {
    await using upstream = await startRawUpstream((connection) => {
      connection.socket.once('data', () => connection.socket.end('HTTP/1.1 200 OK\r\n\r\nok'));
    });
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    assert.ok((await client.take('0\r\n\r\n')).endsWith('\r\n\r\n2\r\nok\r\n0\r\n\r\n'));
    client.send(get);
    assert.equal(fieldOf(await client.take('0\r\n\r\n'), 'Transfer-Encoding'), 'chunked');
  });
});

suite('time limits of a client', () => {
  test('a head that is not whole in time: 408', async () => {
    await using gateway = await startGateway({ settings: { clientHeadTimeoutMs: 30 } });
    using client = await gateway.connect();
    client.send('GET / HT');
    const { status, field } = await client.response();
    assert.equal(status, 408);
    assert.equal(field('Connection'), 'close');
  });

  test('an idle connection is closed without a word', async () => {
    await using gateway = await startGateway({ settings: { clientIdleTimeoutMs: 30 }, match: () => undefined });
    using fresh = await gateway.connect();
    assert.equal(await fresh.rest(), '');
    using used = await gateway.connect();
    used.send(get);
    await used.response();
    assert.equal(await used.rest(), '');
  });

  test('a client that does not read is dropped, with its upstream', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings: { clientSendTimeoutMs: 50 } });
    using client = await gateway.connect();
    client.socket.pause();
    client.send(get);
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n`);
    connection.send('x'.repeat(32 * 1024 * 1024));
    await until('the upstream connection is closed', () => connection.closed || connection.ended);
    await until('the client’s is gone', () => gateway.server.activeConnections === 0);
  });
});

suite('a change of protocol', () => {
  const upgrade = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x-chat/2\r\n\r\n';

  test('passes bytes both ways once the upstream agrees, and either side may end first', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(`${upgrade}early`);
    const connection = await upstream.connection(0);
    const seen = await connection.take('\r\n\r\n');
    assert.equal(fieldOf(seen, 'Connection'), 'upgrade');
    assert.equal(fieldOf(seen, 'Upgrade'), 'x-chat/2');
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x-chat/2\r\n\r\nhello');
    const head = await client.take('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 101 /);
    assert.equal(fieldOf(head, 'Connection'), 'Upgrade');
    assert.equal(fieldOf(head, 'Upgrade'), 'x-chat/2');
    assert.equal(await client.take('hello'), 'hello');
    assert.equal(await connection.take('early'), 'early');
    connection.send('down');
    await client.take('down');
    client.socket.end('up');
    assert.equal(await connection.rest(), 'up');
    connection.send('still down');
    await client.take('still down');
    connection.socket.end();
    await client.rest();
    await until('it is logged', () => gateway.entries.length === 1);
    assert.equal(gateway.entries[0]?.status, 101);
  });

  test('the upstream may end first', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(upgrade);
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x-chat/2\r\n\r\n');
    connection.socket.end('bye');
    await client.take('\r\n\r\n');
    assert.equal(await client.rest(), 'bye');
    client.socket.end('last words');
    assert.equal(await connection.rest(), 'last words');
  });

  test('an upstream that ends its side and then breaks off takes the connection with it, though the client still sends', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nlast words');
    connection.socket.end();
    assert.ok((await client.rest()).endsWith('last words'));
    connection.socket.resetAndDestroy();
    await until('the exchange is over', () => {
      if (!client.socket.destroyed) client.send('more');
      return gateway.entries.length === 1;
    });
    assert.equal(gateway.entries[0]?.status, 101);
  });

  test('an upstream that does not agree just answers', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(upgrade);
    assert.equal((await client.response()).status, 200);
    client.send(get);
    assert.equal((await client.response()).status, 200);
  });

  for (const [name, request, answered] of [
    ['that nobody asked for', get, 'Upgrade: x-chat/2\r\n'],
    ['to another protocol than was asked for', upgrade, 'Upgrade: x-chat/3\r\n'],
    ['to one more than was asked for', upgrade, 'Upgrade: x-chat/2\r\nUpgrade: h2c\r\n'],
    ['that does not say to what', upgrade, ''],
  ] as const) {
    test(`${name} is an invalid response`, async () => {
      await using upstream = await startRawUpstream(
        answering(`HTTP/1.1 101 x\r\nConnection: Upgrade\r\n${answered}\r\n`),
      );
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(request);
      assert.equal((await client.response()).status, 502);
    });
  }

  test('goes to any of the protocols that were asked for, in any case', async () => {
    await using upstream = await startRawUpstream(
      answering('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n'),
    );
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x-chat/2, websocket\r\n\r\n');
    assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 101 /);
  });

  for (const [name, request] of [
    [
      'to h2c',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n',
    ],
    ['to TLS', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n'],
    ['with a body', 'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nx'],
    ['that Connection does not name', 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n'],
    ['of HTTP/1.0', 'GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
  ] as const) {
    test(`${name} is not passed on`, async () => {
      await using upstream = await startRawUpstream();
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(request);
      const seen = await (await upstream.connection(0)).take('\r\n\r\n');
      assert.doesNotMatch(seen, /^(upgrade|connection|http2)/im);
    });
  }

  test('a silent one ends after the upstream’s read timeout', async () => {
    await using upstream = await startRawUpstream();
    const clock = createSteppedClock();
    const route = { readTimeoutMs: 3000 };
    await using gateway = await startGateway({ upstreamPort: upstream.port, route, now: clock.now });
    using client = await gateway.connect();
    client.send(upgrade);
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x-chat/2\r\n\r\n');
    await client.take('\r\n\r\n');
    await clock.goOnUntil('it is ended', () => client.ended || client.closed);
    assert.equal(gateway.counted.includes('failed:timeout'), false);
  });
});
