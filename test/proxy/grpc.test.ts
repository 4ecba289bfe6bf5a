// gRPC through the gateway: a real client, a real server, HTTP/2 on both sides.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { makeSelfSigned } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { startGateway } from './http1-gateway.ts';

const same = (bytes: Buffer): Buffer => bytes;
const method = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };
const service = {
  unary: { path: '/test.Echo/Unary', requestStream: false, responseStream: false, ...method },
  up: { path: '/test.Echo/Up', requestStream: true, responseStream: false, ...method },
  down: { path: '/test.Echo/Down', requestStream: false, responseStream: true, ...method },
  both: { path: '/test.Echo/Both', requestStream: true, responseStream: true, ...method },
} as const;

interface EchoServer extends AsyncDisposable {
  readonly port: number;
  /** Calls that it does not answer. */
  readonly held: number;
  readonly cancelled: number;
}

async function startServer(credentials = grpc.ServerCredentials.createInsecure()): Promise<EchoServer> {
  const server = new grpc.Server();
  let held = 0;
  let cancelled = 0;
  server.addService(service, {
    unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      const asked = call.request.toString();
      if (asked === 'fail') {
        const metadata = new grpc.Metadata();
        metadata.set('why', 'asked for');
        return done({ code: grpc.status.FAILED_PRECONDITION, details: 'as you wish', metadata });
      }
      if (asked === 'wait') {
        held += 1;
        return void call.on('cancelled', () => (cancelled += 1));
      }
      const trailers = new grpc.Metadata();
      trailers.set('sum', String(asked.length));
      call.sendMetadata(call.metadata);
      done(null, Buffer.from(`${asked}!`), trailers);
    },
    up(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      let bytes = 0;
      call.on('data', (message: Buffer) => (bytes += message.length));
      call.on('end', () => done(null, Buffer.from(String(bytes))));
    },
    down(call: grpc.ServerWritableStream<Buffer, Buffer>) {
      for (let index = 0; index < 100; index += 1) call.write(Buffer.alloc(10_000, index));
      call.end();
    },
    both(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
      call.on('data', (message: Buffer) => call.write(message));
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  return {
    port,
    get held() {
      return held;
    },
    get cancelled() {
      return cancelled;
    },
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await Promise.resolve();
    },
  };
}

function connect(port: number): grpc.Client & Disposable {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

interface Answer {
  readonly message: string | undefined;
  readonly error: grpc.ServiceError | null;
  readonly metadata: grpc.Metadata;
  readonly status: grpc.StatusObject;
}

function unary(client: grpc.Client, text: string, metadata = new grpc.Metadata()): Promise<Answer> {
  return new Promise((resolve) => {
    let got: { message: string | undefined; error: grpc.ServiceError | null } | undefined;
    let headers = new grpc.Metadata();
    const call = client.makeUnaryRequest(
      service.unary.path,
      same,
      same,
      Buffer.from(text),
      metadata,
      {},
      (error, message) => {
        got = { error, message: message?.toString() };
      },
    );
    call.on('metadata', (received: grpc.Metadata) => {
      headers = received;
    });
    call.on('status', (status: grpc.StatusObject) => {
      setImmediate(() => resolve({ message: got?.message, error: got?.error ?? null, metadata: headers, status }));
    });
  });
}

const http2 = { alpnProtocol: 'h2', upstream: { http2: true } } as const;

test('a unary call passes, with metadata both ways and trailers', async () => {
  await using server = await startServer();
  await using gateway = await startGateway({ upstreamPort: server.port, ...http2 });
  using client = connect(gateway.port);
  const metadata = new grpc.Metadata();
  metadata.set('colour', 'blue');
  metadata.set('raw-bin', Buffer.from([0, 1, 255]));
  const answer = await unary(client, 'hello', metadata);
  assert.equal(answer.error, null);
  assert.equal(answer.message, 'hello!');
  assert.deepEqual(answer.metadata.get('colour'), ['blue']);
  assert.deepEqual(answer.metadata.get('raw-bin'), [Buffer.from([0, 1, 255])]);
  assert.deepEqual(answer.metadata.get('x-portunus-request-id').length, 1);
  assert.deepEqual(answer.status.metadata.get('sum'), ['5']);
  assert.equal(gateway.entries[0]?.httpVersion, '2');
});

test('an error of the server reaches the client with its code, its words and its trailers', async () => {
  await using server = await startServer();
  await using gateway = await startGateway({ upstreamPort: server.port, ...http2 });
  using client = connect(gateway.port);
  const { error, status } = await unary(client, 'fail');
  assert.equal(error?.code, grpc.status.FAILED_PRECONDITION);
  assert.equal(error?.details, 'as you wish');
  assert.deepEqual(status.metadata.get('why'), ['asked for']);
});

test('streams pass in each direction and in both at once', async () => {
  await using server = await startServer();
  await using gateway = await startGateway({ upstreamPort: server.port, ...http2 });
  using client = connect(gateway.port);

  const total = await new Promise<string>((resolve, reject) => {
    const call = client.makeClientStreamRequest(service.up.path, same, same, (error, message?: Buffer) =>
      error === null ? resolve(String(message)) : reject(error),
    );
    for (let index = 0; index < 200; index += 1) call.write(Buffer.alloc(20_000));
    call.end();
  });
  assert.equal(total, '4000000');

  const down = client.makeServerStreamRequest<Buffer, Buffer>(service.down.path, same, same, Buffer.alloc(0));
  let messages = 0;
  for await (const message of down) {
    assert.ok((message as Buffer).equals(Buffer.alloc(10_000, messages)));
    messages += 1;
  }
  assert.equal(messages, 100);

  const both = client.makeBidiStreamRequest<Buffer, Buffer>(service.both.path, same, same);
  const heard: string[] = [];
  both.on('data', (message: Buffer) => heard.push(message.toString()));
  for (const word of ['one', 'two', 'three']) {
    both.write(Buffer.from(word));
    await until(`${word} comes back`, () => heard.at(-1) === word);
  }
  const status = new Promise<grpc.StatusObject>((resolve) => both.on('status', resolve));
  both.end();
  assert.equal((await status).code, grpc.status.OK);
});

test('many calls at once share one connection to the upstream', async () => {
  await using server = await startServer();
  await using gateway = await startGateway({ upstreamPort: server.port, ...http2 });
  using client = connect(gateway.port);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => unary(client, `n${index}`)));
  assert.deepEqual(
    answers.map(({ message }) => message),
    Array.from({ length: 50 }, (_, index) => `n${index}!`),
  );
  assert.equal(gateway.counted.filter((what) => what === 'opened').length, 1);
});

test('a call that the client gives up is given up at the server', async () => {
  await using server = await startServer();
  await using gateway = await startGateway({ upstreamPort: server.port, ...http2 });
  using client = connect(gateway.port);
  const ended = Promise.withResolvers<grpc.status | undefined>();
  const call = client.makeUnaryRequest(service.unary.path, same, same, Buffer.from('wait'), (error) =>
    ended.resolve(error?.code),
  );
  await until('the server has it', () => server.held === 1);
  call.cancel();
  assert.equal(await ended.promise, grpc.status.CANCELLED);
  await until('the server hears of it', () => server.cancelled === 1);
});

test('without a server the call is unavailable, and with it back the next one succeeds', async () => {
  const gone = await startServer();
  await gone[Symbol.asyncDispose]();
  await using gateway = await startGateway({ upstreamPort: gone.port, ...http2 });
  using client = connect(gateway.port);
  const { error, metadata } = await unary(client, 'hello');
  assert.equal(error?.code, grpc.status.UNAVAILABLE);
  assert.equal(error?.details, 'UPSTREAM_CONNECT_FAILED: An invalid response was received from the upstream server');
  assert.equal(metadata.get('x-portunus-request-id').length, 0, 'all of it is in one head');
  assert.deepEqual(gateway.counted, ['failed:connect', 'request:502']);
});

for (const [name, options, code, details] of [
  ['that no API takes', { match: () => undefined }, grpc.status.UNIMPLEMENTED, 'HTTP_ROUTE_NOT_FOUND: Not found'],
  [
    'with more fields than are allowed',
    { settings: { requestHeadersMax: 6 } },
    grpc.status.RESOURCE_EXHAUSTED,
    'HTTP_FIELDS_TOO_MANY: Request header fields too large',
  ],
  [
    'that must come over TLS',
    { route: { httpsOnly: true } },
    grpc.status.UNKNOWN,
    'HTTP_TLS_REQUIRED: Please use HTTPS protocol',
  ],
] as const) {
  test(`a call ${name} gets a status of gRPC, and the log that of HTTP`, async () => {
    await using gateway = await startGateway({ ...http2, ...options });
    using client = connect(gateway.port);
    const metadata = new grpc.Metadata();
    for (const key of ['one', 'two']) metadata.set(key, 'x');
    const { error } = await unary(client, 'hello', metadata);
    assert.equal(error?.code, code);
    assert.equal(error?.details, details);
    assert.ok((gateway.entries[0]?.status ?? 0) >= 400);
    assert.equal(gateway.entries[0]?.responseBodyBytes, 0);
  });
}

test('over TLS the upstream must speak HTTP/2, and its certificate counts', async () => {
  const { cert, key } = makeSelfSigned({ names: ['localhost'] });
  const credentials = grpc.ServerCredentials.createSsl(null, [
    { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) },
  ]);
  await using server = await startServer(credentials);
  const upstream = { http2: true, tls: true, host: 'localhost' };
  for (const [settings, expected] of [
    [{ upstreamTrustedCertificates: cert }, grpc.status.OK],
    [{}, grpc.status.UNAVAILABLE],
  ] as const) {
    await using gateway = await startGateway({ upstreamPort: server.port, alpnProtocol: 'h2', settings, upstream });
    using client = connect(gateway.port);
    assert.equal((await unary(client, 'hello')).status.code, expected);
  }
});
