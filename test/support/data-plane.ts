// What serves clients, whole, in this process: a store, a data plane that follows it, its two ports, and an upstream that
// tells what it was asked. And clients that prove something.
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import http2, { type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import { loadConfig } from '../../src/config/load-config.ts';
import { createDataPlane, type DataPlane } from '../../src/data-plane.ts';
import type { Api, Certificate, ClientCertificateRule, HostPolicy } from '../../src/model/entities.ts';
import type { StoreTransaction } from '../../src/store/contract.ts';
import { bindListeningSockets } from '../../src/workers/listening-socket.ts';
import { describeCertificate } from '../../src/x509/certificate.ts';
import {
  fakeApi,
  fakeCaCertificate,
  fakeCertificate,
  fakeHostPolicy,
  fakeKeyPair,
  fakeSni,
} from '../contracts/entities.ts';
import { RawClient, type Response } from '../proxy/http1-gateway.ts';
import { temporaryStore } from '../store/temporary-store.ts';
import { type Authority, type Issued, makeAuthority } from './certificates.ts';
import { startUpstream } from './upstream.ts';

export interface RunningDataPlane extends AsyncDisposable {
  readonly plane: DataPlane;
  readonly plainPort: number;
  readonly tlsPort: number;
  readonly upstreamUrl: string;
  /** Requests that the upstream has seen. */
  readonly upstreamRequests: () => number;
  /** One transaction, applied when this resolves, as all that follow. */
  change(work: (tx: StoreTransaction) => Promise<void>): Promise<void>;
  /** A certificate for these names. */
  serve(...names: readonly string[]): Promise<void>;
  /** An API, by its id; one host named as the id unless `fields` say otherwise. */
  api(id: string, fields?: Partial<Api>): Promise<void>;
  /** An authority with what it has revoked; null: it has none any more. */
  authority(id: string, authority: Authority, crl?: string | null): Promise<void>;
  /** A host's policy; null: it has none any more. */
  policy(name: string, fields: Partial<HostPolicy> | null): Promise<void>;
  /** As a fault of the disk would. */
  damagePolicy(name: string): void;
  /** Another copy of the file takes its place, as a replica's may: the same revision, another content. */
  replaceFile(sql: string, ...values: string[]): void;
  /** Lines of the access log, once there are so many. */
  accessLines(): readonly Record<string, unknown>[];
  /** What was logged as an error. */
  readonly errors: readonly object[];
  /** What was logged as a warning. */
  readonly warnings: readonly object[];
}

export interface DataPlaneOptions {
  readonly settings?: Readonly<Record<string, string>>;
}

/** Hosts that the server's certificate is for, all under one. */
const serverAuthority = makeAuthority();

export async function startDataPlane(options: DataPlaneOptions = {}): Promise<RunningDataPlane> {
  const temporary = await temporaryStore();
  const { store, sealer } = temporary;
  const upstream = await startUpstream();
  const log = path.join(temporary.directory, 'access.log');
  const loaded = loadConfig({
    env: {},
    cwd: temporary.directory,
    flags: {
      prefix: temporary.directory,
      proxy_listen: '127.0.0.1:0 http2, 127.0.0.1:0 ssl http2',
      proxy_access_log: log,
      // Tickets are not to change their keys while it is tried whether they resume.
      ssl_session_ticket_rotation: '7d',
      ...options.settings,
    },
  });
  if (loaded.kind === 'refused') throw new Error(JSON.stringify(loaded.problems));
  const errors: object[] = [];
  const warnings: object[] = [];
  const nothing = (): void => {};
  const plane = createDataPlane({
    config: loaded.config,
    storePath: temporary.path,
    sealer,
    fetchCertificate: () => Promise.reject(new Error('nothing is absent')),
    storeDamaged: () => undefined,
    ticketSecret: Buffer.alloc(32, 7),
    log: {
      debug: nothing,
      info: nothing,
      warn: (fields) => warnings.push(fields),
      error: (fields) => errors.push(fields),
    },
  });
  const [sockets = []] = bindListeningSockets(loaded.config.proxyListen, 1);
  for (const { address, handle } of sockets) await plane.listen(address, handle);
  const change = async (work: (tx: StoreTransaction) => Promise<void>): Promise<void> => {
    await store.transact('test', work);
    plane.apply(await store.revision(), await store.changesSince(plane.revision, 1000));
  };
  const replaceFile = (sql: string, ...values: string[]): void => {
    const file = new DatabaseSync(temporary.path);
    file.prepare(sql).run(...values);
    file.close();
    plane.apply(plane.revision, 'everything');
  };
  const issue = (names: readonly string[]): Certificate => {
    const { chain, key } = serverAuthority.issue({ names });
    const facts = describeCertificate(chain);
    if (facts === undefined) throw new Error('no certificate');
    const id = `certificate of ${names.join()}`;
    const pair = { ...facts, chain, sealedKey: sealer.seal(key, facts.publicKeySha256) };
    return fakeCertificate(id, { primary: fakeKeyPair(id, pair) });
  };
  await change((tx) => tx.certificates.insert({ ...issue(['default.test']), owner: { kind: 'default' } }));
  return {
    plane,
    plainPort: sockets[0]?.port ?? 0,
    tlsPort: sockets[1]?.port ?? 0,
    upstreamUrl: upstream.url,
    upstreamRequests: () => upstream.requests,
    change,
    serve: (...names) =>
      change(async (tx) => {
        const certificate = issue(names);
        await tx.certificates.insert(certificate);
        for (const name of names) await tx.snis.insert(fakeSni(`sni ${name}`, name, certificate.id));
      }),
    api: (id, fields) =>
      change(async (tx) => {
        const api = fakeApi(id, { hosts: [id], upstreamUrl: upstream.url, stripUri: false, ...fields });
        await ((await tx.apis.get(id)) === undefined ? tx.apis.insert(api) : tx.apis.replace(api));
      }),
    authority: (id, { certificate }, crl = null) =>
      change(async (tx) => {
        const facts = describeCertificate(certificate);
        const fields = { certificate, crl, fingerprint: facts?.fingerprint ?? '', subject: facts?.subject ?? '' };
        const entity = fakeCaCertificate(id, fields);
        await ((await tx.caCertificates.get(id)) === undefined
          ? tx.caCertificates.insert(entity)
          : tx.caCertificates.replace(entity));
      }),
    policy: (name, fields) =>
      change(async (tx) => {
        const known = await tx.hostPolicies.get(name);
        if (fields === null) await tx.hostPolicies.delete(name);
        else if (known === undefined) await tx.hostPolicies.insert(fakeHostPolicy(name, name, fields));
        else await tx.hostPolicies.replace({ ...known, ...fields });
      }),
    damagePolicy: (name) => replaceFile(`UPDATE host_policies SET doc = '{"id' WHERE name = ?`, name),
    replaceFile,
    accessLines: () =>
      existsSync(log)
        ? readFileSync(log, 'utf8')
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => JSON.parse(line) as Record<string, unknown>)
        : [],
    errors,
    warnings,
    async [Symbol.asyncDispose]() {
      await plane[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
      await temporary[Symbol.asyncDispose]();
    },
  };
}

export function required(authorities: readonly string[], depth = 1): ClientCertificateRule {
  return { mode: 'required', authorities, depth };
}

export function optional(authorities: readonly string[], depth = 1): ClientCertificateRule {
  return { mode: 'optional', authorities, depth };
}

export interface ClientOptions {
  /** The name of the ClientHello; undefined: none. */
  readonly sni: string | undefined;
  /** What it shows when it is asked. */
  readonly certificate?: Pick<Issued, 'chain' | 'key'> | undefined;
  readonly version?: 'TLSv1.2' | 'TLSv1.3';
  readonly tls?: ConnectionOptions;
}

/** What the upstream saw, or what the gateway answered in its place. */
export interface Answer extends Response {
  readonly json: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly message?: string;
    readonly code?: string;
    readonly hint?: string;
  };
}

/** An HTTP/1.1 client on one connection. */
export class Client extends RawClient {
  get tls(): TLSSocket {
    return this.socket as TLSSocket;
  }

  /** @param lines of the head, each with its end */
  async get(host: string, target = '/', lines = ''): Promise<Answer> {
    this.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
    return this.answer();
  }

  async answer(): Promise<Answer> {
    const response = await this.response();
    return { ...response, json: JSON.parse(response.body) as Answer['json'] };
  }
}

export async function connectTls(port: number, options: ClientOptions): Promise<Client> {
  return new Client(await openTls(port, options));
}

export async function connectPlain(port: number): Promise<Client> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return new Client(socket);
}

async function openTls(port: number, { sni, certificate, version, tls: more }: ClientOptions): Promise<TLSSocket> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...(sni === undefined ? {} : { servername: sni }),
    ...(certificate === undefined ? {} : { cert: certificate.chain, key: certificate.key }),
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
    ...more,
  });
  await once(socket, 'secureConnect');
  return socket;
}

export interface Client2 extends Disposable {
  readonly session: ClientHttp2Session;
  get(host: string, target?: string, headers?: IncomingHttpHeaders): Promise<Pick<Answer, 'status' | 'json'>>;
}

export async function connectHttp2(port: number, options: ClientOptions): Promise<Client2> {
  const socket = await openTls(port, { ...options, tls: { ...options.tls, ALPNProtocols: ['h2'] } });
  const session = http2.connect('https://unused.test', { createConnection: () => socket });
  session.on('error', () => {});
  return {
    session,
    get: (host, target = '/', headers = {}) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ':path': target, ':authority': host, ...headers });
        let status = 0;
        let body = '';
        stream.setEncoding('utf8').on('data', (text: string) => (body += text));
        stream.on('response', (head) => (status = head[':status'] ?? 0));
        stream.on('error', reject);
        stream.on('end', () => resolve({ status, json: JSON.parse(body) as Answer['json'] }));
        stream.end();
      }),
    [Symbol.dispose]: () => session.destroy(),
  };
}
