// One task at a time, in the order in which they came.
import { PortunusError } from '../lib/errors.ts';

export interface Queue {
  /** @throws what the task throws; STORE_UNAVAILABLE when `waitingMax` tasks wait already */
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves when all tasks that were there are done. */
  idle(): Promise<void>;
}

export function createQueue(waitingMax = Infinity): Queue {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return {
    run(task) {
      if (waiting >= waitingMax) {
        return Promise.reject(
          new PortunusError('STORE_UNAVAILABLE', `More than ${waitingMax} writes wait for the store.`),
        );
      }
      waiting += 1;
      const result = last.then(task).finally(() => (waiting -= 1));
      last = result.catch(() => undefined);
      return result;
    },
    async idle() {
      await last;
    },
  };
}
