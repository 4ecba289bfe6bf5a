// An Admin API server of its own for one test: a real SQLite store in a new directory, a real keyring, a socket on port 0.
import { createPrivateKey } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { type AdminServer, type AdminTls, createAdminServer } from '../../src/admin/admin-server.ts';
import type { AdminConfig, AdminDeps } from '../../src/admin/contract.ts';
import type { Sealer } from '../../src/store/sealer.ts';
import type { Store } from '../../src/store/contract.ts';
import { createKeyringFile } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';

export interface AdminFixture {
  /** `http://127.0.0.1:<port>` */
  readonly base: string;
  readonly port: number;
  readonly store: Store;
  readonly sealer: Sealer;
  /** A directory for the test's own files. */
  readonly directory: string;
  /** Revisions the server waited for, in order. */
  readonly waitedFor: readonly number[];
  readonly uploads: readonly (readonly [result: string, code: string | undefined])[];
  readonly refusals: readonly string[];
  /** Fields and message of every line logged as an error, and as a warning. */
  readonly errors: readonly unknown[];
  readonly warnings: readonly unknown[];
  readonly server: AdminServer;
  readonly send: (method: string, path: string, options?: SendOptions) => Promise<Answered>;
}

interface SendOptions {
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly form?: string | readonly (readonly [name: string, value: string])[];
  readonly multipart?: readonly (readonly [name: string, value: string | Uint8Array])[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // What an answer holds is what the test says it holds.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

export interface FixtureOptions {
  readonly config?: Partial<AdminConfig>;
  readonly deps?: Partial<AdminDeps>;
  readonly demandsToken?: boolean;
  /** By default 127.0.0.1. */
  readonly host?: string;
  readonly tls?: AdminTls;
}

const silent = (): void => undefined;

export async function startAdmin(
  t: TestContext,
  { config = {}, deps = {}, demandsToken = false, host = '127.0.0.1', tls }: FixtureOptions = {},
): Promise<AdminFixture> {
  const directory = await mkdtemp(path.join(tmpdir(), 'portunus-admin-'));
  const sealer = createSealer(await createKeyringFile(path.join(directory, 'keyring')));
  const store = await openSqliteStore({ path: path.join(directory, 'store.sqlite'), sealer });
  const waitedFor: number[] = [];
  const uploads: (readonly [string, string | undefined])[] = [];
  const refusals: string[] = [];
  const errors: unknown[] = [];
  const warnings: unknown[] = [];
  const server = await createAdminServer({
    store,
    tokens: store.tokens,
    sealer,
    config: {
      adminAuthFailuresMax: 20,
      adminBodyMaxBytes: 10 * 1024 * 1024,
      adminPrivateKeys: 'sealed',
      adminHosts: [],
      sslMinRsaBits: 2048,
      trustedIpsConfigured: false,
      ...config,
    },
    async whenApplied(revision) {
      waitedFor.push(revision);
      return { applied: true };
    },
    whenAppliedByAll: async (revision) => ({
      revision,
      applied: [{ id: 'n1', name: 'one', ms: 3 }],
      lagging: [],
      known: true,
    }),
    nodes: async () => [],
    storeTrouble: () => undefined,
    status: async () => ({}),
    countRefusal: (code) => void refusals.push(code),
    countUpload: (result, code) => void uploads.push([result, code]),
    log: {
      debug: silent,
      info: silent,
      warn: (...line) => void warnings.push(line),
      error: (...line) => void errors.push(line),
    },
    now: Date.now,
    version: '0.0.0-test',
    ...deps,
  });
  const port = await server.listen({ host, port: 0, demandsToken, tls });
  t.after(async () => {
    await server.close();
    await store[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
  const base = `http://127.0.0.1:${port}`;
  return {
    base,
    port,
    store,
    sealer,
    directory,
    waitedFor,
    uploads,
    refusals,
    errors,
    warnings,
    server,
    send: (...args) => send(base, ...args),
  };
}

async function send(base: string, method: string, target: string, options: SendOptions = {}): Promise<Answered> {
  const { body, type } = encode(options);
  const response = await fetch(base + target, {
    method,
    headers: { ...(type !== undefined && { 'content-type': type }), ...options.headers },
    ...(body !== undefined && { body }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? JSON.parse(text) : undefined,
  };
}

function encode({ json, form, multipart, body }: SendOptions): {
  body?: string | Uint8Array<ArrayBuffer> | FormData;
  type?: string;
} {
  if (json !== undefined) return { body: JSON.stringify(json), type: 'application/json' };
  if (form !== undefined) {
    const text =
      typeof form === 'string'
        ? form
        : new URLSearchParams(form.map(([name, value]) => [name, value] as [string, string])).toString();
    return { body: text, type: 'application/x-www-form-urlencoded' };
  }
  if (multipart !== undefined) {
    const data = new FormData();
    for (const [name, value] of multipart) {
      if (typeof value === 'string') data.append(name, value);
      else data.append(name, new Blob([Uint8Array.from(value)]), 'file');
    }
    return { body: data };
  }
  return body === undefined ? {} : { body: typeof body === 'string' ? body : Uint8Array.from(body) };
}

/** Whether the answer holds a private key: named as one, or its secret number in base64 (at any offset) or hex. */
export function holdsKeyMaterial({ text, headers }: Answered, keys: readonly string[]): boolean {
  const shown = text.replaceAll('\\n', '') + JSON.stringify([...headers]);
  if (/PRIVATE KEY-----[A-Za-z0-9+/]/.test(shown)) return true;
  const decoded = (shown.match(/[A-Za-z0-9+/_-]{24,}/g) ?? []).flatMap((run) =>
    [0, 1, 2, 3].map((offset) => Buffer.from(run.slice(offset), 'base64')),
  );
  return keys.some((key) => {
    const secret = Buffer.from(createPrivateKey(key).export({ format: 'jwk' }).d ?? '', 'base64url').subarray(0, 16);
    return shown.includes(secret.toString('hex')) || decoded.some((bytes) => bytes.includes(secret));
  });
}
