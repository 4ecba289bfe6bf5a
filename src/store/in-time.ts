// The time that the work of a transaction may take.
import { PortunusError } from '../lib/errors.ts';
import { transactionTimeoutMs } from './contract.ts';

/** @throws STORE_UNAVAILABLE after `transactionTimeoutMs`, though `work` goes on; else what `work` throws */
export async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new PortunusError('STORE_UNAVAILABLE', `A transaction took longer than ${transactionTimeoutMs} ms.`));
    }, transactionTimeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
