// The upstream side: connections kept, bounded and given up; what the client gets when an upstream fails, and how.
import assert from 'node:assert/strict';
import net from 'node:net';
import { suite, test } from 'node:test';
import tls from 'node:tls';
import { makeAuthority } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { refusedResponses } from '../http1/refused-responses.ts';
import { answering, fieldOf, RawClient, startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';

suite('an upstream that fails', () => {
  const cases: readonly (readonly [string, (client: RawClient) => void, number, string])[] = [
    ['closes without a word', ({ socket }) => socket.once('data', () => socket.end()), 502, 'reset'],
    ['resets', ({ socket }) => socket.once('data', () => socket.resetAndDestroy()), 502, 'reset'],
    ['cuts its head', ({ socket }) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nX')), 502, 'reset'],
    ['says nothing', () => {}, 504, 'timeout'],
    ['drips its head', (client) => client.socket.once('data', () => client.send('HTTP/1.1 2')), 504, 'timeout'],
  ];
  for (const [name, behaviour, status, kind] of cases) {
    test(`${name}: ${status}, and the client's connection goes on`, async () => {
      await using upstream = await startRawUpstream(behaviour);
      const route = kind === 'timeout' ? { readTimeoutMs: 50 } : {};
      await using gateway = await startGateway({ upstreamPort: upstream.port, route });
      using client = await gateway.connect();
      for (const request of [get, get]) {
        client.send(request);
        const response = await client.response();
        assert.equal(response.status, status);
        assert.equal(response.field('Connection'), undefined);
      }
      assert.ok(gateway.counted.includes(`failed:${kind}`));
    });
  }

  test('refuses: 502 with the message and the id, after as many retries as the route has', async () => {
    const closed = net.createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as net.AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await using gateway = await startGateway({ upstreamPort: port, route: { retries: 2 } });
    using client = await gateway.connect();
    client.send(get);
    const { status, head, body } = await client.response();
    assert.equal(status, 502);
    assert.deepEqual(JSON.parse(body), {
      message: 'An invalid response was received from the upstream server',
      code: 'UPSTREAM_CONNECT_FAILED',
      request_id: fieldOf(head, 'X-Portunus-Request-Id'),
    });
    assert.equal(gateway.counted.filter((kind) => kind === 'opened').length, 3);
    assert.deepEqual(
      gateway.counted.filter((kind) => kind.startsWith('failed')),
      ['failed:connect'],
    );
  });

  test('has a name that does not resolve: 502', async () => {
    await using gateway = await startGateway({ upstream: { host: 'does-not-exist.invalid', port: 80 } });
    using client = await gateway.connect();
    client.send(get);
    assert.equal((await client.response()).status, 502);
  });

  test('does not finish the TLS handshake in time: 504', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      upstream: { tls: true },
      route: { connectTimeoutMs: 50 },
    });
    using client = await gateway.connect();
    client.send(get);
    assert.equal((await client.response()).status, 504);
  });

  for (const { name, message, code } of refusedResponses) {
    test(`answers with ${name}: 502 or a cut, never the response`, async () => {
      await using upstream = await startRawUpstream((connection) => {
        connection.socket.once('data', () => connection.send(message));
      });
      await using gateway = await startGateway({
        upstreamPort: upstream.port,
        settings: { requestHeadersMax: 20, upstreamResponseHeadMaxBytes: 4096 },
      });
      using client = await gateway.connect();
      client.send(get);
      if (code === 'HTTP_CHUNK_INVALID' || code === 'HTTP_TRAILER_FORBIDDEN') {
        const text = await client.rest();
        assert.ok(!text.includes('0\r\n\r\n'), text);
      } else {
        assert.equal((await client.response()).status, 502);
      }
      await until('it is counted', () => gateway.counted.includes('failed:malformed'));
      await until('its connection is closed', () => upstream.connections[0]?.closed || upstream.connections[0]?.ended);
    });
  }

  for (const [name, head, body] of [
    ['by length', 'Content-Length: 10\r\n', 'half'],
    ['chunked', 'Transfer-Encoding: chunked\r\n', '4\r\nhalf\r\n'],
  ] as const) {
    test(`cuts a body ${name}: the client's connection ends without the body being whole`, async () => {
      await using upstream = await startRawUpstream(({ socket }) => {
        socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`));
      });
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(get);
      const text = await client.rest();
      assert.ok(!text.includes('0\r\n\r\n'));
      assert.equal(gateway.entries[0]?.status, 200);
      assert.ok(gateway.counted.includes('failed:reset'));
    });
  }

  test('cuts a chunked body for HTTP/1.0: the client sees a reset, not an end', async () => {
    await using upstream = await startRawUpstream((connection) => {
      connection.socket.once('data', () =>
        connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'),
      );
    });
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send('GET / HTTP/1.0\r\n\r\n');
    await client.take('half');
    upstream.connections[0]?.socket.end();
    await until('the connection is closed', () => client.closed);
    assert.equal(client.error, 'ECONNRESET');
  });
});

suite('connections to an upstream', () => {
  for (const credentials of ['NTLM TlRMTVNTUAAB', 'Negotiate YIIB', 'negotiate']) {
    test(`are nobody else’s once credentials have come that hold for a connection: ${credentials}`, async () => {
      await using upstream = await startRawUpstream(answering(ok));
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(get);
      await client.response();
      client.send(`GET / HTTP/1.1\r\nHost: a\r\nAuthorization: ${credentials}\r\n\r\n`);
      const { status, field } = await client.response();
      assert.deepEqual([status, field('Connection')], [200, undefined]);
      assert.equal(upstream.connections.length, 1);
      using other = await gateway.connect();
      other.send(get);
      assert.equal((await other.response()).status, 200);
      assert.equal(upstream.connections.length, 2);
      client.send('GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic bnRsbQ==\r\n\r\n');
      await client.response();
      assert.equal(upstream.connections.length, 2, 'other credentials are of their request alone');
    });
  }

  test('are closed when bytes come that nobody asked for', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    await client.response();
    const first = await upstream.connection(0);
    first.send('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged');
    await until('it is closed', () => first.ended || first.closed);
    client.send(get);
    assert.equal((await client.response()).body, 'ok');
    assert.equal(upstream.connections.length, 2);
  });

  test('are not kept when bytes follow the response', async () => {
    await using upstream = await startRawUpstream(answering(`${ok}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged`));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    for (const request of [get, get, get]) {
      client.send(request);
      assert.equal((await client.response()).body, 'ok');
    }
    assert.equal(upstream.connections.length, 3);
  });

  test('are not kept when the upstream closes, is of HTTP/1.0, or ends its body by closing', async () => {
    for (const answer of [
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
      'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    ]) {
      await using upstream = await startRawUpstream(answering(answer));
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(get);
      await client.response();
      await until('it is closed', () => upstream.connections[0]?.ended || upstream.connections[0]?.closed);
    }
  });

  test('that closed while idle are not used again', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    await client.response();
    const first = await upstream.connection(0);
    first.socket.end();
    await until('the gateway has closed it too', () => first.ended || first.closed);
    client.send(post);
    assert.equal((await client.response()).status, 200);
  });

  test('are closed after their number of requests, and when idle for their time', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      settings: { upstreamKeepaliveMaxRequests: 2, upstreamKeepaliveIdleTimeoutMs: 30 },
    });
    using client = await gateway.connect();
    for (const request of [get, get]) {
      client.send(request);
      await client.response();
    }
    await until('the first is closed', () => upstream.connections[0]?.ended || upstream.connections[0]?.closed);
    client.send(get);
    await client.response();
    await until('the second is closed', () => upstream.connections[1]?.ended || upstream.connections[1]?.closed);
  });

  test('are asked to close when none is kept', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      settings: { upstreamKeepalivePoolSize: 0 },
    });
    using client = await gateway.connect();
    client.send(get);
    const connection = await upstream.connection(0);
    assert.equal(fieldOf(await connection.take('\r\n\r\n'), 'Connection'), 'close');
    connection.send(ok);
    await client.response();
    await until('it is closed', () => connection.ended || connection.closed);
  });

  test('that are idle are bounded over all upstreams: those that have been so longest are closed', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      settings: { upstreamIdleConnectionsMax: 8 },
      match: (_method, host, _path, route) => ({
        route: { ...route, upstream: { ...route.upstream, key: host } },
        prefix: '',
      }),
    });
    using client = await gateway.connect();
    for (let each = 0; each < 20; each += 1) {
      client.send(`GET / HTTP/1.1\r\nHost: ${each}.test\r\n\r\n`);
      await client.response();
    }
    const open = (): number[] => [...upstream.connections.keys()].filter((at) => !upstream.connections[at]?.ended);
    // At the ninth two are closed, and from then on at every second.
    await until('the oldest are closed', () => open().length <= 8);
    assert.deepEqual(open(), [12, 13, 14, 15, 16, 17, 18, 19]);
    client.send('GET / HTTP/1.1\r\nHost: 19.test\r\n\r\n');
    await client.response();
    assert.equal(upstream.connections.length, 20, 'what was used last is kept');
  });

  test('are bounded: a request waits for one to come free', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, settings: { upstreamConnectionsMax: 1 } });
    using first = await gateway.connect();
    using second = await gateway.connect();
    first.send(get);
    const connection = await upstream.connection(0);
    await connection.take('\r\n\r\n');
    second.send(get.replace('/ ', '/second '));
    await until('both are served', () => gateway.server.activeConnections === 2);
    connection.send(ok);
    await first.response();
    assert.match(await connection.take('\r\n\r\n'), /^GET \/second /);
    connection.send(ok);
    assert.equal((await second.response()).status, 200);
    assert.equal(upstream.connections.length, 1);
  });

  test('are bounded: a request that waits in vain gets 503', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      settings: { upstreamConnectionsMax: 1 },
      route: { connectTimeoutMs: 30 },
    });
    using first = await gateway.connect();
    using second = await gateway.connect();
    first.send(get);
    await (await upstream.connection(0)).take('\r\n\r\n');
    second.send(get);
    assert.equal((await second.response()).status, 503);
    assert.ok(gateway.counted.includes('failed:exhausted'));
  });
});

suite('a kept connection that turns out to be closed', () => {
  /** Answers the first request of each connection, and closes on the second. */
  const once = ({ socket }: RawClient): void => {
    socket.once('data', () => {
      socket.write(ok);
      socket.once('data', () => socket.resetAndDestroy());
    });
  };

  test('costs an idempotent request nothing: it is sent again on a new one', async () => {
    await using upstream = await startRawUpstream(once);
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    for (const request of [get, get, get]) {
      client.send(request);
      assert.equal((await client.response()).status, 200);
    }
    assert.equal(upstream.connections.length, 3);
  });

  test('costs a request that is not idempotent a 502: it may have been acted on', async () => {
    await using upstream = await startRawUpstream(once);
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    await client.response();
    client.send(post);
    assert.equal((await client.response()).status, 502);
    assert.equal(upstream.connections.length, 1);
  });

  test('costs a chunked request whose empty body has gone a 502: it would go without its last chunk', async () => {
    await using upstream = await startRawUpstream(once);
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    await client.response();
    client.send('PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
    assert.equal((await client.response()).status, 502);
    assert.equal(upstream.connections.length, 1);
  });

  test('is not tried a second time on a new one', async () => {
    await using upstream = await startRawUpstream((connection) => {
      if (upstream.connections.length === 1) return once(connection);
      connection.socket.once('data', () => connection.socket.destroy());
    });
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.send(get);
    await client.response();
    client.send(get);
    assert.equal((await client.response()).status, 502);
    assert.equal(upstream.connections.length, 2);
  });
});

suite('an https upstream', () => {
  const authority = makeAuthority();
  const leaf = authority.issue({ names: ['upstream.test', 'localhost', '127.0.0.1'] });

  async function startTlsUpstream(): Promise<
    AsyncDisposable & { readonly port: number; readonly names: (string | false | null)[]; readonly reused: boolean[] }
  > {
    const names: (string | false | null)[] = [];
    const reused: boolean[] = [];
    const server = tls.createServer({ cert: leaf.cert, key: leaf.key, ALPNProtocols: ['http/1.1'] }, (socket) => {
      names.push(socket.servername, socket.alpnProtocol);
      reused.push(socket.isSessionReused());
      answering(ok)(new RawClient(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return {
      port: (server.address() as net.AddressInfo).port,
      names,
      reused,
      async [Symbol.asyncDispose]() {
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }

  test('is spoken to with its name and ALPN, and trusted when its certificate is', async () => {
    await using upstream = await startTlsUpstream();
    await using gateway = await startGateway({
      upstream: { tls: true, host: 'localhost', port: upstream.port },
      settings: { upstreamTrustedCertificates: authority.certificate },
    });
    using client = await gateway.connect();
    client.send(get);
    assert.equal((await client.response()).status, 200);
    assert.deepEqual(upstream.names, ['localhost', 'http/1.1']);
  });

  test('that sends one response too many in a record of its own does not answer the next request with it', async () => {
    const answers = [ok, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'];
    let held: Buffer[] | undefined;
    let connections = 0;
    const server = tls.createServer({ cert: leaf.cert, key: leaf.key, ALPNProtocols: ['http/1.1'] }, (socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      if (connections > 1) {
        answering(ok)(new RawClient(socket));
        return;
      }
      socket.once('data', () => {
        held = [];
        for (const answer of answers) socket.write(answer);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    // Between the two: both records come in one read.
    const relay = net.createServer((near) => {
      const far = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
      for (const socket of [near, far]) socket.on('error', () => undefined);
      near.pipe(far);
      far.on('data', (bytes: Buffer) => {
        if (held === undefined) {
          near.write(bytes);
          return;
        }
        held.push(bytes);
        const both = Buffer.concat(held);
        if (both.length <= answers.join('').length + 2 * 20) return;
        held = undefined;
        near.write(both);
      });
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    await using gateway = await startGateway({
      upstream: { tls: true, host: 'localhost', port: (relay.address() as net.AddressInfo).port },
      settings: { upstreamTrustedCertificates: authority.certificate },
    });
    using client = await gateway.connect();
    client.send(get + get);
    assert.equal((await client.response()).body, 'ok');
    assert.equal((await client.response()).body, 'ok');
    assert.equal(connections, 2);
    for (const each of [relay, server]) each.close();
  });

  test('by address gets no name, and its sessions are used again', async () => {
    await using upstream = await startTlsUpstream();
    await using gateway = await startGateway({
      upstream: { tls: true, port: upstream.port },
      settings: { upstreamTrustedCertificates: authority.certificate, upstreamKeepaliveMaxRequests: 1 },
    });
    using client = await gateway.connect();
    for (const request of [get, get]) {
      client.send(request);
      assert.equal((await client.response()).status, 200);
    }
    assert.equal(upstream.names[0], false);
    assert.deepEqual(upstream.reused, [false, true]);
  });

  test('that is not trusted: 502, or served when verification is off', async () => {
    await using upstream = await startTlsUpstream();
    for (const [verify, status] of [
      [true, 502],
      [false, 200],
    ] as const) {
      await using gateway = await startGateway({
        upstream: { tls: true, host: 'localhost', port: upstream.port },
        settings: { upstreamTlsVerify: verify },
      });
      using client = await gateway.connect();
      client.send(get);
      assert.equal((await client.response()).status, status);
      assert.equal(gateway.counted.includes('failed:tls'), verify);
    }
  });

  test('whose certificate names another host: 502', async () => {
    const other = authority.issue({ names: ['other.test'] });
    const server = tls.createServer({ cert: other.cert, key: other.key });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await using gateway = await startGateway({
      upstream: { tls: true, host: 'localhost', port: (server.address() as net.AddressInfo).port },
      settings: { upstreamTrustedCertificates: authority.certificate },
    });
    using client = await gateway.connect();
    client.send(get);
    assert.equal((await client.response()).status, 502);
    server.close();
  });
});

test('an upstream that never comes to its final response has failed', async () => {
  await using upstream = await startRawUpstream(answering('HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n'.repeat(101)));
  await using gateway = await startGateway({ upstreamPort: upstream.port });
  using client = await gateway.connect();
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const all = await client.take('UPSTREAM_RESPONSE_INVALID');
  assert.equal(all.match(/103 Early Hints/g)?.length, 100);
  assert.match(all, /HTTP\/1\.1 502 /);
});

test('an upstream whose interim responses are larger than a head together has failed', async () => {
  const interim = `HTTP/1.1 103 Early Hints\r\nLink: ${'a'.repeat(1000)}\r\n\r\n`;
  await using upstream = await startRawUpstream(answering(interim.repeat(90)));
  await using gateway = await startGateway({
    upstreamPort: upstream.port,
    settings: { upstreamResponseHeadMaxBytes: 4096 },
  });
  using client = await gateway.connect();
  client.send(get);
  const all = await client.take('UPSTREAM_RESPONSE_INVALID');
  assert.equal(all.match(/103 Early Hints/g)?.length, 3);
  assert.match(all, /HTTP\/1\.1 502 /);
});

test('an upstream that leads back to the gateway gets a request ten times, not without end: 508', async () => {
  let port = 0;
  await using gateway = await startGateway({
    match: (_method, _host, _path, route) => ({
      route: { ...route, upstream: { ...route.upstream, port } },
      prefix: '',
    }),
  });
  port = gateway.port;
  using client = await gateway.connect();
  client.send(get);
  const { status, body } = await client.response();
  assert.equal(status, 508);
  assert.match(body, /HTTP_LOOP/);
  await until('each round is logged', () => gateway.entries.length === 11);
  client.send(`GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 portunus\r\n${'Via: 1.1 varnish, 2 portunus\r\n'.repeat(9)}\r\n`);
  assert.equal((await client.response()).status, 508);
  assert.equal(gateway.entries.length, 12, 'at once');
});
