// Attacks by many clients on a running gateway while a good one is served. `npm test` has hundreds of attackers and looks
// whether the good client is answered and the attackers are ended; `npm run test:long` has thousands, and says how
// long the good client waits beside how long it waits alone.
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expectOk } from '../support/admin.ts';
import { capturedHello } from '../support/captured-hello.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import type { AttackOrder, AttackReport } from './processes/attackers.ts';

const long = process.env['PORTUNUS_FUZZ_MINUTES'] !== undefined;
const attackers = long ? 4000 : 200;
/** Those of a good client that has to wait for a connection to the upstream are fewer. */
const requests = long ? { usual: 500, waiting: 100 } : { usual: 5, waiting: 5 };
const host = 'good.test';
/** Short, so that attackers are ended while the test looks; the rest is as it comes. */
const soon = long ? '10s' : '500ms';
const settings = {
  workers: '1',
  proxy_listen: '127.0.0.1:0 http2, 127.0.0.1:0 ssl http2',
  proxy_access_log: 'off',
  // That of the good client has to come to its end on a busy machine too.
  handshake_timeout: long ? '10s' : '4s',
  client_header_timeout: soon,
  client_body_timeout: soon,
  client_send_timeout: soon,
  client_idle_timeout: soon,
};
/** Of all that attackers can hold at once. */
const fewConnections = { upstream_connections_max: String(attackers / 10), client_body_timeout: '60s' };

interface Attack {
  readonly kind: AttackOrder['kind'];
  /** Of the metrics: what tells that attackers were ended, and for what. */
  readonly ends: string | undefined;
  readonly count?: number;
  readonly requests?: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** As often the good client tries again when it is cut before it has an answer; never, unless said. */
  readonly tries?: number;
}

/** Thousands are more than an upstream has connections: the slowest make room for the others before a rate is judged. */
const endsSlow = `portunus_client_limits_reached_total{limit="${long ? 'upstream_connections_max' : 'client_rate_min'}"}`;

const attacks: readonly Attack[] = [
  { kind: 'silence, plain', ends: undefined },
  { kind: 'silence, TLS', ends: 'portunus_tls_handshake_failures_total{reason="timeout"}' },
  { kind: 'a ClientHello that drips', ends: 'portunus_tls_handshake_failures_total{reason="timeout"}' },
  {
    kind: 'heads that drip (Slowloris)',
    ends: 'portunus_client_limits_reached_total{limit="client_header_timeout"}',
  },
  {
    kind: 'bodies that drip',
    ends: endsSlow,
    requests: requests.waiting,
  },
  {
    kind: 'responses read a byte at a time',
    ends: 'portunus_client_limits_reached_total{limit="client_send_timeout"}',
    // The system's own buffers take megabytes for each.
    count: attackers / 10,
  },
  {
    kind: 'HTTP/2 streams that are not read',
    ends: endsSlow,
    requests: requests.waiting,
    // Of 50 streams each: as many as an upstream has connections.
    count: long ? 20 : 4,
  },
  {
    kind: 'HTTP/2 bodies that drip',
    ends: endsSlow,
    requests: requests.waiting,
    count: attackers / 50,
  },
  {
    kind: 'bodies that drip',
    ends: 'portunus_client_limits_reached_total{limit="upstream_connections_max"}',
    requests: requests.waiting,
    settings: fewConnections,
  },
  {
    kind: 'HTTP/2 bodies that drip',
    ends: 'portunus_client_limits_reached_total{limit="upstream_connections_max"}',
    requests: requests.waiting,
    count: attackers / 50,
    settings: fewConnections,
  },
  { kind: 'connections opened and closed', ends: undefined, count: 50 },
  { kind: 'handshakes and nothing more', ends: undefined, count: 50 },
  {
    kind: 'handshakes and nothing more',
    ends: 'portunus_client_limits_reached_total{limit="handshake_rate_per_address"}',
    count: 50,
    settings: { handshake_rate_per_address: '5' },
  },
  {
    kind: 'silence, TLS',
    ends: 'portunus_client_limits_reached_total{limit="client_connections_per_address"}',
    settings: { client_connections_per_address: '100' },
  },
  {
    kind: 'silence, TLS',
    ends: 'portunus_client_limits_reached_total{limit="client_connections_max"}',
    settings: { client_connections_max: String(attackers * 0.75) },
    // Thousands of new ones in a second push each other out: whoever is slower than they are has to come again.
    tries: 100,
  },
];

describe(`${attackers} attackers and a good client`, { concurrency: 1 }, () => {
  let upstream: ChildProcess;
  let upstreamUrl: string;
  let usual: Gateway;
  let hello: string;
  const gateways: Gateway[] = [];
  const pair = makeSelfSigned({ names: [host] });

  before(async () => {
    upstream = fork(fileURLToPath(new URL('processes/slow-upstream.ts', import.meta.url)));
    const [port] = (await once(upstream, 'message')) as [number];
    upstreamUrl = `http://127.0.0.1:${port}`;
    hello = (await capturedHello(host)).toString('base64');
    usual = await start({});
  });
  after(async () => {
    for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
    upstream.kill('SIGKILL');
  });

  for (const { kind, ends, count = attackers, requests: most = requests.usual, settings: more, tries } of attacks) {
    const name = Object.entries(more ?? {}).map(([setting, value]) => `, with ${setting} = ${value}`);
    test(`${kind}${name.join('')}`, async (context) => {
      const gateway = more === undefined ? usual : await start(more);
      const workers = gateway.workerPids();
      const alone = long ? await goodClient(gateway, most, tries) : [];
      const endedBefore = ends === undefined ? 0 : await metric(gateway, ends);
      const ended = async (): Promise<boolean> => ends !== undefined && (await metric(gateway, ends)) > endedBefore;
      {
        await using attack = startAttack({
          kind,
          count,
          plainPort: gateway.plainPort,
          tlsPort: gateway.tlsPort,
          host,
          // Many connections bound to one address take the system long to open.
          from: more === undefined ? undefined : '127.0.0.2',
          hello,
        });
        // As many as wanted, or as many as the gateway lets there be.
        await until('the attack is on', async () => {
          const { open, done } = attack.report;
          return open >= count * 0.9 || done > count || (await ended());
        });
        const beside = await goodClient(gateway, most, tries);
        if (ends !== undefined) await until('attackers are ended', ended);
        if (long) report(context, alone, beside, attack.report);
      }
      assert.deepEqual(gateway.workerPids(), workers);
      assert.ok(!/worker (fails|ended)|TypeError|RangeError/.test(gateway.output()), gateway.output());
    });
  }

  async function start(more: Readonly<Record<string, string>>): Promise<Gateway> {
    const gateway = await startGateway({ workers: 1, settings: { ...settings, ...more } });
    gateways.push(gateway);
    await expectOk(gateway.admin, 'POST', '/apis', { name: 'good', hosts: [host], upstream_url: upstreamUrl });
    await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: [host] });
    return gateway;
  }

  /** One request after another, each on a connection and from an address of its own. @returns how long each took, in milliseconds */
  async function goodClient(gateway: Gateway, most: number, tries = 1): Promise<readonly number[]> {
    const times: number[] = [];
    for (let count = 0; count < most; count += 1) {
      const from = performance.now();
      let answer = '';
      for (let left = tries; left > 0 && answer === ''; left -= 1) {
        answer = await ask(gateway, `127.1.${count >> 8}.${count & 255}`);
      }
      assert.match(answer, /^HTTP\/1\.1 200 [^]*good$/);
      times.push(performance.now() - from);
    }
    return times;
  }

  /** @returns all that came until the connection was closed, however it was */
  function ask(gateway: Gateway, localAddress: string): Promise<string> {
    const tcp = net.connect({ host: '127.0.0.1', port: gateway.tlsPort, localAddress });
    const socket = tls.connect({ socket: tcp, servername: host, ca: pair.cert });
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    let text = '';
    return new Promise((resolve) => {
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      for (const each of [tcp, socket]) each.on('error', () => undefined);
      socket.on('close', () => resolve(text));
    });
  }
});

interface Attackers extends AsyncDisposable {
  readonly report: AttackReport;
}

function startAttack(order: AttackOrder): Attackers {
  const child: ChildProcess = fork(fileURLToPath(new URL('processes/attackers.ts', import.meta.url)));
  let latest: AttackReport = { open: 0, ended: 0, done: 0 };
  child.on('message', (report: AttackReport) => (latest = report));
  child.send(order);
  return {
    get report() {
      return latest;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

function report(
  context: TestContext,
  alone: readonly number[],
  beside: readonly number[],
  { open, ended, done }: AttackReport,
): void {
  const [before50, before99, during50, during99] = [alone, beside].flatMap((times) => [
    percentile(times, 0.5),
    percentile(times, 0.99),
  ]);
  context.diagnostic(
    `${open} attackers, ${ended} ended, ${done} gone by themselves; the good client, p50/p99 in ms: ${before50}/${before99} alone, ${during50}/${during99} beside`,
  );
}

function percentile(times: readonly number[], part: number): string {
  const sorted = [...times].sort((one, other) => one - other);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(1);
}

/** @param name with its labels */
async function metric(gateway: Gateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.status}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}
