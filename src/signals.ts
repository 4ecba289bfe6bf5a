// The signals of the primary: SIGTERM, SIGINT and SIGQUIT drain, a second one a second later ends at once; SIGHUP reads the configuration
// again; SIGUSR2 opens the log files again, and so does SIGUSR1, by which it is done elsewhere.
import { reasonOf } from './lib/errors.ts';
import type { Log } from './observe/contract.ts';

/** Ctrl-C reaches a process from the terminal and again from each launcher before it: that is asking once. */
const oneAskingMs = 1000;

/** They are listened for until the process ends: one that comes while everything closes is no reason to end without that. */
export interface Signals {
  /** Resolves with the signal that asks to stop. */
  readonly stopRequested: Promise<NodeJS.Signals>;
  /** Resolves when stopping is asked for a second time. */
  readonly stopInsisted: Promise<NodeJS.Signals>;
  onReload(reload: () => Promise<void>): void;
  onReopen(reopen: () => void): void;
}

export function listenForSignals(log: Log): Signals {
  const requested = Promise.withResolvers<NodeJS.Signals>();
  const insisted = Promise.withResolvers<NodeJS.Signals>();
  let stopAskedAt: number | undefined;
  let reload: () => Promise<void> = () => Promise.resolve();
  let reopen: () => void = () => undefined;
  let reloading: Promise<void> = Promise.resolve();
  let reloadWaits = false;

  const handlers: Readonly<Partial<Record<NodeJS.Signals, (signal: NodeJS.Signals) => void>>> = {
    SIGTERM: stop,
    SIGINT: stop,
    SIGQUIT: stop,
    SIGHUP() {
      // One that waits will read what there is to read.
      if (reloadWaits) return;
      reloadWaits = true;
      reloading = reloading
        .then(() => {
          reloadWaits = false;
          return reload();
        })
        .catch((error: unknown) => {
          log.error({ reason: reasonOf(error) }, 'the reload failed');
        });
    },
    SIGUSR1: () => reopen(),
    SIGUSR2: () => reopen(),
  };
  for (const [signal, handler] of Object.entries(handlers)) process.on(signal, handler);

  return {
    stopRequested: requested.promise,
    stopInsisted: insisted.promise,
    onReload(act) {
      reload = act;
    },
    onReopen(act) {
      reopen = act;
    },
  };

  function stop(signal: NodeJS.Signals): void {
    const now = performance.now();
    if (stopAskedAt !== undefined && now - stopAskedAt >= oneAskingMs) insisted.resolve(signal);
    stopAskedAt ??= now;
    requested.resolve(signal);
  }
}
