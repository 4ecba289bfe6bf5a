// The one connection that hears notifications, opened again whenever it has ended.
import { setTimeout as delay } from 'node:timers/promises';
import type { PgClient } from './client.ts';
import type { Link, LinkOptions } from './link.ts';

/** How often it shows that it still can hear. */
const checkMs = 5000;
/** Between an end and the next beginning. */
const pauseMs = 50;

export interface Ear {
  readonly listen: PgClient['listen'];
  /** PostgreSQL is there, perhaps again. */
  resume(): void;
  /** Ends the connection, if there is one. */
  destroy(): void;
}

interface Listener {
  readonly channel: string;
  readonly heard: (payload: string) => void;
  readonly listening: () => void;
}

/** @param open throws when PostgreSQL is away, and then it waits for `resume` */
export function createEar(open: (options: Partial<LinkOptions>) => Promise<Link>, closed: AbortSignal): Ear {
  const listeners = new Set<Listener>();
  let link: Link | undefined;
  let running = false;

  return {
    listen(channel, heard, listening) {
      const listener = { channel, heard, listening };
      listeners.add(listener);
      if (link?.alive === true) void subscribe(link, listener);
      else void run();
      return () => void listeners.delete(listener);
    },
    resume: () => void run(),
    destroy: () => link?.destroy(),
  };

  async function run(): Promise<void> {
    if (running) return;
    running = true;
    try {
      while (listeners.size > 0 && !closed.aborted && (await listenUntilCut())) {
        // Many nodes do not come back at the same moment.
        await delay(pauseMs * (0.5 + Math.random()), undefined, { ref: false });
      }
    } finally {
      running = false;
    }
  }

  /** @returns false when PostgreSQL is away */
  async function listenUntilCut(): Promise<boolean> {
    const cut = new AbortController();
    let current: Link;
    try {
      current = await open({
        notified(channel, payload) {
          for (const listener of listeners) if (listener.channel === channel) listener.heard(payload);
        },
        ended: () => cut.abort(),
      });
    } catch {
      return false;
    }
    link = current;
    await Promise.all(Array.from(listeners, (listener) => subscribe(current, listener)));
    while (current.alive && listeners.size > 0) {
      await delay(checkMs, undefined, { ref: false, signal: cut.signal }).catch(() => undefined);
      await current.query('SELECT 1', []).catch(() => current.destroy());
    }
    current.destroy();
    return true;
  }

  async function subscribe(to: Link, { channel, listening }: Listener): Promise<void> {
    try {
      await to.query(`LISTEN "${channel}"`, []);
    } catch {
      to.destroy();
      return;
    }
    listening();
  }
}
