// Which listeners of the Admin API demand that callers say who they are.
import type { Config, ListenAddress } from './config.ts';
import { isLoopback } from './ip-range.ts';

/** By the address that is listened on, whoever connects to it. */
export function demandsToken(auth: Config['adminAuth'], { host }: Pick<ListenAddress, 'host'>): boolean {
  return auth === 'always' || (auth === 'on' && !isLoopback(host));
}
