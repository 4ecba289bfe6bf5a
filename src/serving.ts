// The data plane as the primary drives it: in worker processes, or in its own process when there are none.
import { fileURLToPath } from 'node:url';
import type { Config } from './config/config.ts';
import { createDataPlane, type DataPlaneReport } from './data-plane.ts';
import type { Log } from './observe/contract.ts';
import type { Acknowledgements } from './replica/acknowledgements.ts';
import type { Publish } from './replica/follower.ts';
import { keyringText, type Keyring } from './store/keyring.ts';
import type { Sealer } from './store/sealer.ts';
import type { ListeningSocket } from './workers/listening-socket.ts';
import { startWorkerPool } from './workers/worker-pool.ts';

const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
/** The file that worker processes run. */
export const workerModule = fileURLToPath(new URL(`./worker.${extension}`, import.meta.url));

export interface Serving extends AsyncDisposable {
  /** Resolves when it accepts connections. @throws WORKER_FAILED */
  readonly ready: Promise<void>;
  /** Data planes that accept connections now, and how many there should be. */
  readonly listening: number;
  readonly size: number;
  readonly publish: Publish;
  reports(): Promise<readonly WorkerReport[]>;
  reopenLogs(): void;
  /** Replaces the workers by new ones with this configuration and this keyring. */
  renew(config: Config, keyring: Keyring): Promise<void>;
  /** Resolves when nothing is in flight any more, at the latest after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
}

export interface WorkerReport {
  readonly worker: number;
  readonly pid: number;
  readonly report: DataPlaneReport;
}

export interface ServingOptions {
  readonly config: Config;
  readonly storePath: string;
  readonly keyring: Keyring;
  /** Of the keyring, also when it is exchanged. */
  readonly sealer: Sealer;
  readonly ticketSecret: Buffer;
  /** Puts a certificate into the file that it lacks. */
  readonly fetchCertificate: (id: string) => Promise<void>;
  /** A data plane could not read the file. */
  readonly storeDamaged: () => void;
  /** One set for each worker. */
  readonly sockets: readonly (readonly ListeningSocket[])[];
  readonly acknowledgements: Acknowledgements;
  readonly log: Log;
}

export function startServing(options: ServingOptions): Serving {
  return options.config.workers === 0 ? serveInProcess(options) : serveInWorkers(options);
}

function forWorkers(config: Config): Config {
  return { ...config, postgres: undefined, adminCertificates: [], adminClients: undefined };
}

function serveInWorkers(options: ServingOptions): Serving {
  const { config, keyring, storePath, fetchCertificate, storeDamaged, ticketSecret, sockets, acknowledgements, log } =
    options;
  const pool = startWorkerPool<DataPlaneReport>({
    module: workerModule,
    sockets,
    // Workers do not talk to PostgreSQL, and do not hear its password.
    start: {
      config: forWorkers(config),
      keyring: keyringText(keyring),
      store: storePath,
      ticketSecret: ticketSecret.toString('base64'),
    },
    fetchCertificate,
    storeDamaged,
    acknowledgements,
    log,
  });
  return {
    ...pool,
    get listening() {
      return pool.listening;
    },
    renew: (changed, next) => pool.renew({ config: forWorkers(changed), keyring: keyringText(next) }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function serveInProcess(options: ServingOptions): Serving {
  const { acknowledgements, sockets, log } = options;
  const only = 1;
  const plane = createDataPlane(options);
  let listening = 0;
  acknowledgements.join(only, plane.revision);
  return {
    ready: listen(),
    size: 1,
    get listening() {
      return listening;
    },
    publish(revision, changes) {
      plane.apply(revision, changes);
      acknowledgements.acknowledge(only, revision);
    },
    reports: () => Promise.resolve([{ worker: only, pid: process.pid, report: plane.report() }]),
    reopenLogs: () => plane.reopenLogs(),
    renew() {
      log.warn({}, 'with workers = 0 a changed configuration takes effect at the next start');
      return Promise.resolve();
    },
    async drain(timeoutMs) {
      const over = Promise.withResolvers<void>();
      const timer = setTimeout(over.resolve, timeoutMs);
      listening = 0;
      await Promise.race([plane.drain(false), over.promise]);
      clearTimeout(timer);
    },
    async [Symbol.asyncDispose]() {
      listening = 0;
      await plane[Symbol.asyncDispose]();
    },
  };

  async function listen(): Promise<void> {
    for (const socket of sockets[0] ?? []) await plane.listen({ ...socket.address, port: socket.port }, socket.handle);
    listening = 1;
  }
}
