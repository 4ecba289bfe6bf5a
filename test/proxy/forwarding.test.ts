// A request as the upstream gets it and a response as the client gets it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { answering, fieldOf, type GatewayOptions, startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Sends one request through and gives what the upstream got and what came back. */
async function exchange(
  request: string,
  options: GatewayOptions = {},
  answer = ok,
): Promise<{ readonly seen: string; readonly head: string; readonly body: string }> {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ upstreamPort: upstream.port, ...options });
  using client = await gateway.connect();
  client.send(request);
  const connection = await upstream.connection(0);
  const seen = await connection.take('\r\n\r\n');
  connection.send(answer);
  const { head, body } = await client.response(request.slice(0, 4) === 'HEAD' ? 'HEAD' : 'GET');
  return { seen, head, body };
}

const get = (lines = '', target = '/'): string => `GET ${target} HTTP/1.1\r\nHost: www.example.com\r\n${lines}\r\n`;

const forgedCertificate = [
  ...['Client-Cert', 'Client-Cert-Chain', 'X-Client-Cert-DN', 'X-Client-Cert-Fingerprint', 'X-Client-Cert-Serial'],
  ...['X-Client-Cert-SAN', 'X_Client_Cert_DN', 'x-client_cert-serial', 'CLIENT_CERT', 'client-CERT'],
  ...['X.Client.Cert.DN', 'Client|Cert', "x-client'cert~serial"],
]
  .map((name) => `${name}: evil\r\n`)
  .concat('Connection: X-Client-Cert-DN\r\nX-Client-Certificate: stays\r\n')
  .join('');

suite('the upstream gets', () => {
  test('the client’s fields in their order, and who it was', async () => {
    const { seen } = await exchange(get('User-Agent: x/1\r\nX-One:  1 \r\nx-two: 2\r\n', '/a/b?c=d&e'));
    const id = fieldOf(seen, 'X-Portunus-Request-Id');
    assert.match(id ?? '', /^[0-9a-f]{32}$/);
    assert.equal(
      seen,
      [
        'GET /a/b?c=d&e HTTP/1.1',
        'Host: upstream.test',
        'User-Agent: x/1',
        'X-One: 1',
        'x-two: 2',
        'X-Real-IP: 127.0.0.1',
        'X-Forwarded-For: 127.0.0.1',
        'X-Forwarded-Proto: http',
        'X-Forwarded-Port: 8000',
        'X-Forwarded-Host: www.example.com',
        'X-Forwarded-Path: /a/b',
        'Via: 1.1 portunus',
        `X-Portunus-Request-Id: ${id}`,
        '\r\n',
      ].join('\r\n'),
    );
  });

  test('no field of the connection, nor any that Connection names', async () => {
    const { seen } = await exchange(
      get(
        'Connection: close, X-Hop, x-hop-too\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nTrailer: X\r\nUpgrade: x\r\nX-Hop: 1\r\nX-Hop-Too: 2\r\nProxy-Authorization: x\r\nX-Stays: 3\r\n',
      ),
    );
    assert.doesNotMatch(seen, /^(connection|keep-alive|proxy-|te:|trailer|upgrade|x-hop)/im);
    assert.equal(fieldOf(seen, 'X-Stays'), '3');
  });

  test('what matters end to end, even when Connection names it', async () => {
    const { seen } = await exchange(
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nAuthorization: Basic x\r\nCookie: c\r\nConnection: Host, Content-Length, Authorization, Cookie, X-Forwarded-For, X-Real-IP\r\n\r\n`,
    );
    assert.equal(fieldOf(seen, 'Host'), 'upstream.test');
    assert.equal(fieldOf(seen, 'Content-Length'), '0');
    assert.equal(fieldOf(seen, 'Authorization'), 'Basic x');
    assert.equal(fieldOf(seen, 'Cookie'), 'c');
    assert.equal(fieldOf(seen, 'X-Forwarded-For'), '127.0.0.1');
  });

  test('nothing of what a peer that is not trusted says about where it came from', async () => {
    const { seen } = await exchange(
      get(
        'X-Real-IP: 9.9.9.9\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Path: /evil\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=9.9.9.9\r\nX_Forwarded_For: 9.9.9.9\r\nx-real_ip: 9.9.9.9\r\nX-Portunus-Request-Id: evil\r\n',
      ),
    );
    assert.doesNotMatch(seen, /evil|9\.9\.9\.9/);
    assert.equal(fieldOf(seen, 'X-Forwarded-Proto'), 'http');
    assert.doesNotMatch(seen, /X-Forwarded-Prefix/i);
  });

  for (const trustedIps of [[], ['127.0.0.0/8']]) {
    const by = trustedIps.length === 0 ? 'anyone' : 'a trusted peer';
    test(`nothing that ${by} says about a client’s certificate, however it spells the name`, async () => {
      const { seen } = await exchange(get(forgedCertificate), { settings: { trustedIps } });
      assert.doesNotMatch(seen, /evil/);
      assert.equal(fieldOf(seen, 'X-Client-Certificate'), 'stays');
    });
  }

  test('no Proxy, which a CGI program would take for the proxy of its own requests', async () => {
    const { seen } = await exchange(get('Proxy: http://9.9.9.9/\r\npROXY: x\r\nProxies: stay\r\n'));
    assert.doesNotMatch(seen, /^proxy:/im);
    assert.equal(fieldOf(seen, 'Proxies'), 'stay');
  });

  test('what a trusted peer says about where the request came from', async () => {
    const { seen } = await exchange(
      get(
        'X-Real-IP: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8, 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Path: /p\r\nX-Forwarded-Prefix: /q\r\nForwarded: for=8.8.8.8\r\n',
      ),
      { settings: { trustedIps: ['127.0.0.0/8'] } },
    );
    assert.equal(fieldOf(seen, 'X-Real-IP'), '9.9.9.9');
    assert.equal(fieldOf(seen, 'X-Forwarded-For'), '8.8.8.8, 9.9.9.9, 127.0.0.1');
    assert.equal(fieldOf(seen, 'X-Forwarded-Proto'), 'https');
    assert.equal(fieldOf(seen, 'X-Forwarded-Host'), 'front');
    assert.equal(fieldOf(seen, 'X-Forwarded-Port'), '443');
    assert.equal(fieldOf(seen, 'X-Forwarded-Path'), '/p');
    assert.equal(fieldOf(seen, 'X-Forwarded-Prefix'), '/q');
    assert.equal(fieldOf(seen, 'Forwarded'), 'for=8.8.8.8');
  });

  test('an address from X-Forwarded-For, behind the trusted ones when the search is recursive', async () => {
    const { seen } = await exchange(get('X-Forwarded-For: 8.8.8.8, 10.0.0.1\r\n'), {
      settings: { trustedIps: ['127.0.0.0/8', '10.0.0.0/8'], realIpHeader: 'X-Forwarded-For', realIpRecursive: true },
    });
    assert.equal(fieldOf(seen, 'X-Real-IP'), '8.8.8.8');
  });

  test('Via behind the ones before', async () => {
    const { seen } = await exchange(get('Via: 1.0 front\r\nVia: 1.1 other\r\n'));
    assert.equal(fieldOf(seen, 'Via'), '1.0 front, 1.1 other, 1.1 portunus');
  });

  test('the client’s Host when the route preserves it', async () => {
    const { seen } = await exchange('GET / HTTP/1.1\r\nHost: WWW.Example.com:8000\r\n\r\n', {
      route: { preserveHost: true },
    });
    assert.equal(fieldOf(seen, 'Host'), 'WWW.Example.com:8000');
    assert.equal(fieldOf(seen, 'X-Forwarded-Host'), 'www.example.com');
  });

  test('TE with trailers when the client takes trailers', async () => {
    const { seen } = await exchange(get('TE: trailers\r\nConnection: TE\r\n'));
    assert.equal(fieldOf(seen, 'TE'), 'trailers');
    assert.equal(fieldOf(seen, 'Connection'), 'TE');
  });

  test('OPTIONS * as it came', async () => {
    const { seen } = await exchange('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(seen, /^OPTIONS \* HTTP\/1\.1\r\n/);
  });

  for (const [target, upstreamPath, prefix, stripUri, expected] of [
    ['/api/x?q', '', '/api', true, '/x?q'],
    ['/api', '', '/api', true, '/'],
    ['/api?q', '/base', '/api', true, '/base/?q'],
    ['/api/x', '/base', '/api', false, '/base/api/x'],
    ['/%61pi/x%2Fy', '', '/api', true, '/x%2Fy'],
    ['//api//x', '', '/api', true, '//x'],
    ['/x?y#'.slice(0, -1), '/base', '', true, '/base/x?y'],
    ['http://a/api/x', '', '/api', true, '/x'],
  ] as const) {
    test(`${expected} for ${target} under ${JSON.stringify(prefix)}${stripUri ? ', stripped' : ''}`, async () => {
      const { seen } = await exchange(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, {
        upstream: { path: upstreamPath },
        route: { stripUri },
        match: (_method, _host, _path, route) => ({ route, prefix }),
      });
      assert.equal(seen.split(' ')[1], expected);
      assert.equal(fieldOf(seen, 'X-Forwarded-Prefix'), stripUri && prefix !== '' ? prefix : undefined);
    });
  }
});

suite('a route is matched by', () => {
  for (const [target, host, path] of [
    ['/', 'Example.COM:8000', 'example.com/'],
    ['/', 'example.com.', 'example.com/'],
    ['/', '[::1]:80', '[::1]/'],
    ['/%61dmin/x', 'a', 'a/admin/x'],
    ['//admin///x', 'a', 'a/admin/x'],
    ['/a%2Fb', 'a', 'a/a%2Fb'],
    ['/?x', '', '/'],
  ] as const) {
    test(`${path} for ${target} of ${JSON.stringify(host)}`, async () => {
      let asked = '';
      await exchange(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, {
        match: (method, name, matched, route) => {
          if (asked === '') asked = `${method} ${name}${matched}`;
          return { route, prefix: '' };
        },
      });
      assert.equal(asked, `GET ${path}`);
    });
  }
});

suite('where an API has /admin and another has the rest,', () => {
  for (const [target, outcome] of [
    ['/admin', 'admin'],
    ['/%61dmin/x', 'admin'],
    ['//admin', 'admin'],
    ['/public/a%2Fb', 'rest'],
    ['/public;v=1/x', 'rest'],
    ['/admin/a%2Fb', 'admin'],
    ['/public/admin%2Fx', 'rest'],
    ['/%2Fadmin', '400 HTTP_PATH_AMBIGUOUS'],
    ['/admin%2Fusers', '400 HTTP_PATH_AMBIGUOUS'],
    ['/%5Cadmin', '400 HTTP_PATH_AMBIGUOUS'],
    ['/admin;v=1', '400 HTTP_PATH_AMBIGUOUS'],
    ['/;/admin', '400 HTTP_PATH_AMBIGUOUS'],
    ['/admin%3Bv=1/x', '400 HTTP_PATH_AMBIGUOUS'],
    ['/x/..%2fadmin', '400 HTTP_TARGET_INVALID'],
    ['/x/..;/admin', '400 HTTP_TARGET_INVALID'],
    ['/x/..%3b/admin', '400 HTTP_TARGET_INVALID'],
    ['/x/%2e%2e/admin', '400 HTTP_TARGET_INVALID'],
    ['/x\\admin', '400 HTTP_TARGET_INVALID'],
  ] as const) {
    test(`${target} is ${outcome.length === 5 || outcome.length === 4 ? `${outcome}’s` : `answered with ${outcome}`}`, async () => {
      await using upstream = await startRawUpstream(answering(ok));
      let taken = '';
      await using gateway = await startGateway({
        upstreamPort: upstream.port,
        match(_method, _host, path, route) {
          const isAdmin = path === '/admin' || path.startsWith('/admin/');
          if (taken === '') taken = isAdmin ? 'admin' : 'rest';
          return isAdmin
            ? { route: { ...route, apiId: 'admin' }, prefix: '/admin' }
            : { route: { ...route, apiId: 'rest' }, prefix: '' };
        },
      });
      using client = await gateway.connect();
      client.send(get('', target));
      const { status, body } = await client.response();
      const code = (body.startsWith('{') ? (JSON.parse(body) as { code: string }) : { code: '' }).code;
      assert.equal(status === 200 ? taken : `${status} ${code}`, outcome);
    });
  }

  test('an API whose own path has an encoded slash is reached by it', async () => {
    const { seen } = await exchange(get('', '/a%2fb/c'), {
      match: (_method, _host, path, route) =>
        path.startsWith('/a%2Fb')
          ? { route: { ...route, apiId: 'own' }, prefix: '/a%2Fb' }
          : { route: { ...route, apiId: 'rest' }, prefix: '' },
    });
    assert.match(seen, /^GET \/a%2fb\/c /);
  });
});

test('docs/configuration.md has a row for each field that is added, in either direction', async () => {
  const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const rowsOf = (direction: string): readonly (string | undefined)[] => {
    const [, table = ''] = new RegExp(`^\\| to the ${direction} \\| \\|\n(.*?)\n\n`, 'ms').exec(page) ?? [];
    return [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
  };
  const namesIn = (text: string): readonly (string | undefined)[] =>
    [...text.matchAll(/^([\w-]+): /gm)].map(([, name]) => name);
  const { seen, head } = await exchange(get('', '/api/x'), {
    route: { stripUri: true },
    match: (_method, _host, _path, route) => ({ route, prefix: '/api' }),
  });
  assert.deepEqual(new Set(rowsOf('upstream')), new Set(namesIn(seen)));
  const added = namesIn(head).filter((name) => name !== 'Content-Length' && name !== 'Date');
  assert.deepEqual(new Set(rowsOf('client')), new Set(added));
});

suite('the client gets', () => {
  test('the upstream’s fields, what Portunus adds, and no field of the upstream’s connection', async () => {
    const { head, body } = await exchange(
      get(),
      {},
      'HTTP/1.1 201 Really Created\r\nServer: x\r\nDate: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nVia: 1.1 inner\r\nX-Portunus-Request-Id: forged\r\nContent-Length: 2\r\n\r\nok',
    );
    assert.match(
      head,
      /^HTTP\/1\.1 201 Really Created\r\nServer: x\r\nDate: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\nVia: 1\.1 inner, 1\.1 portunus\r\nX-Portunus-Upstream-Latency: \d+\r\nX-Portunus-Proxy-Latency: \d+\r\nX-Portunus-Request-Id: [0-9a-f]{32}\r\n\r\n$/,
    );
    assert.equal(body, 'ok');
  });

  test('no field that only an underscore keeps apart from one that frames or describes the message', async () => {
    const { head } = await exchange(
      get(),
      {},
      'HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\nX_Portunus_Request_Id: forged\r\nX_Other: stays\r\nContent-Length: 2\r\n\r\nok',
    );
    assert.doesNotMatch(head, /Transfer_|Content_|forged/);
    assert.equal(fieldOf(head, 'X_Other'), 'stays');
  });

  test('a Date when the upstream gave none', async () => {
    const { head } = await exchange(get());
    assert.match(fieldOf(head, 'Date') ?? '', /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  });

  test('no body for HEAD, 204 and 304, and the length that HEAD and 304 tell', async () => {
    const of = async (request: string, answer: string): Promise<string> => {
      await using upstream = await startRawUpstream(answering(answer));
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
      return await client.rest();
    };
    const head = await of('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n');
    assert.equal(fieldOf(head, 'Content-Length'), '7');
    assert.ok(head.endsWith('\r\n\r\n'));
    const noContent = await of(get(), 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n');
    assert.equal(fieldOf(noContent, 'Content-Length'), undefined);
    const notModified = await of(get(), 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n');
    assert.equal(fieldOf(notModified, 'Content-Length'), '7');
    assert.ok(notModified.endsWith('\r\n\r\n'));
    const chunkedHead = await of(
      'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    assert.ok(chunkedHead.endsWith('\r\n\r\n'));
  });
});
