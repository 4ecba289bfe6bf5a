// Requests by h2load over connections that stay open, in HTTP/1.1 or HTTP/2. Every answer must be a 200 with as many bytes
// of body as expected. The TLS client prefers what browsers prefer: X25519 and TLS_AES_128_GCM_SHA256.
import { runPinned } from '../processes.ts';
import type { LoadOptions } from './load.ts';

export interface Requests {
  readonly url: string;
  readonly port: number;
  readonly protocol: 'http/1.1' | 'h2';
  readonly connections: number;
  /** Requests in flight on each. */
  readonly inFlight?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A file that is sent with each request. */
  readonly upload?: string;
  readonly answerBytes: number;
}

/** @returns how many requests were answered */
export async function h2load(requests: Requests, { core, seconds }: LoadOptions): Promise<number> {
  const { connections, inFlight = 1, answerBytes } = requests;
  const output = await runPinned(core, 'h2load', [
    ...(requests.protocol === 'h2' ? [] : ['--h1']),
    '-t1',
    `-c${connections}`,
    `-m${inFlight}`,
    `-D${Math.round(seconds * 1000)}ms`,
    '--groups=X25519',
    `--connect-to=127.0.0.1:${requests.port}`,
    ...Object.entries(requests.headers ?? {}).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    ...(requests.upload === undefined ? [] : ['-d', requests.upload]),
    requests.url,
  ]);
  const done = numberIn(output, /, (\d+) succeeded/);
  const successful = numberIn(output, /status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx/);
  const bodyBytes = numberIn(output, /\((\d+)\) data/);
  const unfinished = connections * inFlight * answerBytes;
  const negotiated = /Application protocol: (\S+)/.exec(output)?.[1] ?? requests.protocol;
  const fails = negotiated !== requests.protocol || !/, 0 failed, 0 errored, 0 timeout/.test(output);
  const short = bodyBytes < done * answerBytes || bodyBytes > done * answerBytes + unfinished;
  if (fails || done === 0 || successful < done || short)
    throw new Error(`${requests.url}: not all is well:\n${output}`);
  return done;
}

function numberIn(output: string, pattern: RegExp): number {
  const found = pattern.exec(output)?.[1];
  if (found === undefined) throw new Error(`h2load says nothing like ${pattern}:\n${output}`);
  return Number(found);
}
