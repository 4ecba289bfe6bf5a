// Random frames against an upstream that answers at random: whatever happens, every connection ends, every request is
// logged once, and the gateway serves on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import {
  connectFrames,
  type Fields,
  fieldBlock,
  flag,
  frame,
  frameBytes,
  getFields,
  postFields,
  settingsPayload,
  uint32,
} from '../support/http2-frames.ts';
import { createRandom } from '../support/random.ts';
import { until } from '../support/until.ts';
import { type Gateway, type RawClient, startGateway, startRawUpstream } from './http1-gateway.ts';

const connections = 60;
const atOnce = 6;
const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n';
const large = 'x'.repeat(150_000);
const answers: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
  chunked,
  '2\r\nhi\r\n',
  '0\r\n\r\n',
  '0\r\nX-Sum: 1\r\n\r\n',
  '0\r\nHost: a\r\n\r\n',
  `${chunked}0\r\nX-Sum: 1\r\n\r\n`,
  'HTTP/1.1 103 Early\r\nLink: a\r\n\r\n',
  'HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello',
  `HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n${large}`,
  large,
  'HTTP/1.1 204 No\r\n\r\n',
  'HTTP/1.1 304 No\r\n\r\n',
  'HTTP/1.1 205 No\r\nContent-Length: 3\r\n\r\nabc',
  'HTTP/1.1 200 OK\r\n\r\nuntil it ends',
  'garbage\r\n\r\n',
];
const head: Fields = [[':method', 'HEAD'], ...getFields().slice(1)];
const webSocket: Fields = [[':method', 'CONNECT'], [':protocol', 'websocket'], ...getFields().slice(1)];

class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = createRandom(seed);
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  of<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T;
  }
}

function answer(client: RawClient, dice: Dice): void {
  if (client.closed) return;
  client.received = '';
  const { socket } = client;
  const what = dice.below(answers.length + 5);
  if (what < answers.length) client.send(answers[what] ?? '');
  else
    [
      () => socket.end(),
      () => socket.destroy(),
      () => socket.resetAndDestroy(),
      () => socket.pause(),
      () => socket.resume(),
    ][what - answers.length]?.();
  if (dice.below(5) < 3) setTimeout(() => answer(client, dice), dice.below(20));
}

function randomFrame(dice: Dice, open: number[]): Buffer {
  const some = open.length === 0 ? 1 : dice.of(open);
  const begin = (fields: Fields, flags: number): Buffer => {
    open.push(open.length * 2 + 1);
    return frameBytes(frame.headers, flag.endHeaders | flags, open.length * 2 - 1, fieldBlock(fields));
  };
  switch (dice.below(9)) {
    case 0:
      return begin(dice.of([getFields(), head, getFields([['x', ' 1']])]), flag.endStream);
    case 1:
      return begin(
        dice.of([
          postFields(),
          postFields([['content-length', '10']]),
          postFields([['expect', '100-continue']]),
          postFields([['te', 'trailers']]),
          head,
        ]),
        0,
      );
    case 2:
      return begin(webSocket, 0);
    case 3:
      return frameBytes(
        frame.data,
        dice.below(4) === 0 ? flag.endStream : 0,
        some,
        Buffer.alloc(dice.of([0, 1, 10, 5000, 16_384])),
      );
    case 4:
      return frameBytes(
        frame.headers,
        flag.endHeaders | flag.endStream,
        some,
        fieldBlock([[dice.of(['x', 'host', 'te']), 'y']]),
      );
    case 5:
      return frameBytes(frame.rstStream, 0, some, uint32(dice.of([0, 1, 2, 5, 8])));
    case 6:
      return frameBytes(frame.windowUpdate, 0, dice.of([0, some]), uint32(dice.of([1, 1000, 100_000])));
    case 7:
      return frameBytes(frame.settings, 0, 0, settingsPayload([[4, dice.of([0, 1, 65_535])]]));
    default:
      return dice.below(20) > 0
        ? frameBytes(frame.ping, 0, 0, Buffer.alloc(8))
        : frameBytes(frame.goaway, 0, 0, Buffer.alloc(8));
  }
}

async function misbehave(gateway: Gateway, dice: Dice): Promise<void> {
  using client = await connectFrames(gateway.port, dice.of([[], [[4, 0]], [[4, 10]], [[4, 2 ** 31 - 1]]]));
  const open: number[] = [];
  for (let left = 1 + dice.below(30); left > 0 && !client.closed; left -= 1) {
    client.write(...Array.from({ length: 1 + dice.below(4) }, () => randomFrame(dice, open)));
    if (dice.below(20) === 0) client.socket.pause();
    if (dice.below(3) === 0) client.socket.resume();
    await pause(dice.below(15));
  }
  if (dice.below(4) === 0) await pause(dice.below(400));
}

for (const seed of [1, 2, 3]) {
  test(`random frames and answers, from seed ${seed}`, async () => {
    const dice = new Dice(seed);
    await using upstream = await startRawUpstream((client) => {
      client.socket.once('data', () => answer(client, dice));
    });
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      alpnProtocol: 'h2',
      settings: {
        clientIdleTimeoutMs: 200,
        clientSendTimeoutMs: 150,
        clientBodyTimeoutMs: 150,
        requestsPerConnectionMax: 30,
        clientMaxBodyBytes: 100_000,
      },
      route: { readTimeoutMs: 200, sendTimeoutMs: 200, connectTimeoutMs: 200, retries: 1 },
    });
    let left = connections;
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (left > 0) {
          left -= 1;
          await misbehave(gateway, dice);
        }
      }),
    );
    await until('every connection has ended', () => gateway.server.activeConnections === 0);
    assert.equal(gateway.counted.filter((what) => what.startsWith('request:')).length, gateway.entries.length);
    assert.equal(new Set(gateway.entries.map(({ requestId }) => requestId)).size, gateway.entries.length);
    using client = await connectFrames(gateway.port);
    client.request(1, getFields([], '/..'));
    assert.equal(await client.outcome(1), '400 HTTP_TARGET_INVALID');
  });
}
