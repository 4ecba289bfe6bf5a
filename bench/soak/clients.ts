// The clients of the soak, each a turn that is repeated: what a well-behaved one does must succeed; slow ones are served; from
// those that go away nothing is expected; upstream failures must be answered as what they are.
import type http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import tls from 'node:tls';
import { randomBytes } from 'node:crypto';
import { largeBytes } from './upstream.ts';

export interface Target {
  readonly tlsPort: number;
  readonly plainPort: number;
  /** One of the names that are served, another one each time. */
  readonly name: () => string;
}

/** One turn. @throws what was not to happen */
export type Turn = (target: Target) => Promise<void>;

/** How many of each run at once, and the pause between two turns of one. */
export const clients: Readonly<
  Record<string, { readonly turn: Turn; readonly count: number; readonly pauseMs: number }>
> = {
  'a connection of its own for each few requests': { turn: churn, count: 4, pauseMs: 30 },
  'keep-alive, downloads and uploads': { turn: keepAlive, count: 2, pauseMs: 50 },
  'HTTP/2, some streams reset': { turn: streams, count: 2, pauseMs: 100 },
  'a request in pieces': { turn: slowRequest, count: 6, pauseMs: 0 },
  'a response read slowly': { turn: slowReader, count: 4, pauseMs: 100 },
  'clients that go away': { turn: goAway, count: 2, pauseMs: 40 },
  'upstream failures': { turn: upstreamFailures, count: 1, pauseMs: 100 },
  'names that nobody has': { turn: unknownName, count: 1, pauseMs: 100 },
};

/** What upstream failures must be answered with. */
const failures: readonly (readonly [path: string, host: string | undefined, status: number])[] = [
  ['/reset/', undefined, 502],
  ['/garbage/', undefined, 502],
  ['/small/', 'refused.soak.test', 502],
  ['/hang/', 'hanging.soak.test', 504],
];

async function churn(target: Target): Promise<void> {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const name = target.name();
    const requests = 1 + Math.floor(Math.random() * 4);
    for (let at = 0; at < requests; at += 1) {
      const { status, body } = await send(target, agent, name, '/small/');
      expect('GET /small/', { status, body }, { status: 200, body: 'small' });
    }
  } finally {
    agent.destroy();
  }
}

async function keepAlive(target: Target): Promise<void> {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const name = target.name();
    for (let at = 0; at < 50; at += 1) {
      const bytes = Math.floor(Math.random() * 200_000);
      const counted = await send(target, agent, name, '/count/', Buffer.alloc(bytes, 'x'));
      expect('POST /count/', counted, { status: 200, body: String(bytes) });
      const pieces = await send(target, agent, name, '/pieces/');
      expect('GET /pieces/', pieces, { status: 200, body: 'piece'.repeat(20) });
      const { status, body } = await send(target, agent, name, '/large/');
      expect('GET /large/', { status, bytes: body.length }, { status: 200, bytes: largeBytes });
    }
  } finally {
    agent.destroy();
  }
}

async function streams(target: Target): Promise<void> {
  const name = target.name();
  const session = http2.connect(`https://${name}:${target.tlsPort}`, {
    createConnection: () =>
      tls.connect({
        host: '127.0.0.1',
        port: target.tlsPort,
        servername: name,
        ALPNProtocols: ['h2'],
        rejectUnauthorized: false,
      }),
  });
  const failed = new Promise<never>((_, reject) => session.once('error', reject));
  failed.catch(() => undefined);
  const one = async (at: number): Promise<void> => {
    const path = at % 5 === 0 ? '/large/' : '/small/';
    const stream = session.request({ ':path': path, ':authority': name });
    let bytes = 0;
    const status = await new Promise<number>((resolve, reject) => {
      stream.on('response', (headers) => {
        if (at % 7 === 6) {
          stream.close(http2.constants.NGHTTP2_CANCEL);
          resolve(0);
          return;
        }
        stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
        stream.on('end', () => resolve(Number(headers[':status'])));
      });
      stream.on('error', reject);
    });
    if (status === 0) return;
    const wanted = path === '/large/' ? largeBytes : 'small'.length;
    expect(`HTTP/2 GET ${path}`, { status, bytes }, { status: 200, bytes: wanted });
  };
  try {
    await Promise.race([Promise.all(Array.from({ length: 14 }, (_, at) => one(at))), failed]);
  } finally {
    session.destroy();
  }
}

async function slowRequest(target: Target): Promise<void> {
  const name = target.name();
  const socket = await connect(target, name);
  const head = `GET /small/ HTTP/1.1\r\nhost: ${name}\r\nx-padding: ${'p'.repeat(200)}\r\nconnection: close\r\n\r\n`;
  try {
    for (let at = 0; at < head.length; at += 16) {
      socket.write(head.slice(at, at + 16));
      await pause(60);
    }
    const answer = await readAll(socket);
    expect('a request in pieces', { ok: answer.startsWith('HTTP/1.1 200 ') }, { ok: true });
  } finally {
    socket.destroy();
  }
}

async function slowReader(target: Target): Promise<void> {
  const name = target.name();
  const socket = await connect(target, name);
  let bytes = 0;
  try {
    socket.write(`GET /large/ HTTP/1.1\r\nhost: ${name}\r\nconnection: close\r\n\r\n`);
    await new Promise<void>((resolve, reject) => {
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        socket.pause();
        setTimeout(() => socket.resume(), 15);
      });
      socket.on('end', resolve);
      socket.on('error', reject);
    });
    expect('a response read slowly', { whole: bytes > largeBytes }, { whole: true });
  } finally {
    socket.destroy();
  }
}

async function goAway(target: Target): Promise<void> {
  const name = target.name();
  switch (Math.floor(Math.random() * 6)) {
    case 0: {
      // In the middle of a ClientHello.
      const socket = net.connect(target.tlsPort, '127.0.0.1').on('error', () => undefined);
      socket.write(Buffer.from('1603010200010001fc0303', 'hex'));
      await pause(20);
      socket.destroy();
      break;
    }
    case 1: {
      const socket = await connect(target, name);
      socket.destroy();
      break;
    }
    case 2: {
      const socket = await connect(target, name);
      socket.write(`GET /small/ HTTP/1.1\r\nhost: ${name}\r\n`);
      await pause(20);
      socket.destroy();
      break;
    }
    case 3: {
      const socket = await connect(target, name);
      socket.write(`GET /large/ HTTP/1.1\r\nhost: ${name}\r\n\r\n`);
      await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
      socket.destroy();
      break;
    }
    case 4: {
      const socket = await connect(target, name);
      socket.write(`POST /count/ HTTP/1.1\r\nhost: ${name}\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(5000)}`);
      await pause(20);
      socket.destroy();
      break;
    }
    default: {
      const socket = net.connect(target.plainPort, '127.0.0.1').on('error', () => undefined);
      socket.write(`GET /pieces/ HTTP/1.1\r\nhost: ${name}\r\n\r\n`);
      await pause(50);
      socket.resetAndDestroy();
    }
  }
}

async function upstreamFailures(target: Target): Promise<void> {
  for (const [path, host, wanted] of failures) {
    const { status } = await send(target, undefined, host ?? target.name(), path);
    expect(`an upstream failure, ${path}`, { status }, { status: wanted });
  }
  const ended = await send(target, undefined, target.name(), '/cut/').then(
    () => 'as if it were whole',
    () => 'cut',
  );
  expect('a response that the upstream cuts', { ended }, { ended: 'cut' });
}

async function unknownName(target: Target): Promise<void> {
  const { status } = await send(target, undefined, `u${randomBytes(6).toString('hex')}.nowhere.test`, '/small/');
  expect('a name that nobody has', { status }, { status: 404 });
}

function send(
  target: Target,
  agent: https.Agent | undefined,
  name: string,
  path: string,
  body?: Buffer,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        host: '127.0.0.1',
        port: target.tlsPort,
        servername: name,
        rejectUnauthorized: false,
        path,
        agent: agent ?? false,
        method: body === undefined ? 'GET' : 'POST',
        headers: { host: name, ...(body !== undefined && { 'content-length': body.length }) },
      },
      (response: http.IncomingMessage) => {
        let text = '';
        response.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

function connect(target: Target, servername: string): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: target.tlsPort, servername, rejectUnauthorized: false });
    socket.once('secureConnect', () => resolve(socket)).on('error', reject);
  });
}

function readAll(socket: tls.TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.on('end', () => resolve(text)).on('error', reject);
  });
}

function expect(what: string, found: object, wanted: object): void {
  const [has, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (has !== should) throw new Error(`${what}: ${has.slice(0, 200)} in place of ${should.slice(0, 200)}`);
}
