// Real gateways that share a PostgreSQL and a keyring, each with a data directory of its own that outlives it.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { succeed } from './command.ts';
import { type Gateway, main, startGateway } from './gateway.ts';

export interface ClusterOptions {
  readonly nodes: number;
  /** Where each node finds PostgreSQL, by its place. */
  readonly port: number | ((node: number) => number);
  readonly workers?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Cluster extends AsyncDisposable {
  /** In their places; a node that was started again is another one in the same place. */
  readonly nodes: readonly Gateway[];
  /** Called `node-0`, `node-1`, … Ends the one that is in its place, with kill -9, and keeps its data directory. */
  restart(node: number): Promise<Gateway>;
  /** One more node. */
  add(): Promise<Gateway>;
  /** What `portunus` prints to these arguments with the configuration of the cluster. */
  portunus(args: readonly string[]): Promise<string>;
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-cluster-'));
  const env = { PORTUNUS_KEYRING_KEYS: `shared:${randomBytes(32).toString('base64')}` };
  const schema = `s${randomBytes(6).toString('hex')}`;
  const nodes: Gateway[] = [];
  try {
    // The first one alone, and then the others at once: both happen.
    await start(0);
    const others = Array.from({ length: options.nodes - 1 }, (_, index) => start(index + 1));
    // None is left that starts later.
    await Promise.allSettled(others);
    await Promise.all(others);
  } catch (error) {
    await end();
    throw error;
  }

  return {
    nodes,
    async restart(node) {
      await nodes[node]?.[Symbol.asyncDispose]();
      return start(node);
    },
    add: () => start(nodes.length),
    portunus: (args) => succeed(process.execPath, [main, ...args, ...flags(0)], { env, cwd: folder }),
    [Symbol.asyncDispose]: end,
  };

  async function end(): Promise<void> {
    await Promise.all(nodes.map((node) => node?.[Symbol.asyncDispose]()));
    rmSync(folder, { recursive: true, force: true });
  }

  async function start(node: number): Promise<Gateway> {
    const gateway = await startGateway({
      workers: options.workers ?? 1,
      prefix: mkdirFor(node),
      env,
      settings: settingsOf(node),
    });
    nodes[node] = gateway;
    return gateway;
  }

  function settingsOf(node: number): Readonly<Record<string, string>> {
    const { port, settings } = options;
    return {
      database: 'postgres',
      keyring: 'env',
      pg_port: String(typeof port === 'number' ? port : port(node)),
      pg_database: 'postgres',
      pg_schema: schema,
      node_name: `node-${node}`,
      proxy_access_log: 'off',
      ...settings,
    };
  }

  function flags(node: number): readonly string[] {
    const settings = { ...settingsOf(node), prefix: mkdirFor(node) };
    return Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  }

  function mkdirFor(node: number): string {
    return path.join(folder, `node-${node}`);
  }
}
