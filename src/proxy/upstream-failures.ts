// In what ways an upstream may fail, whatever it speaks. What that means to the client is exchange.ts's.
import type { ErrorCode } from '../lib/errors.ts';
import type { UpstreamFailure } from '../observe/contract.ts';

export interface Failure {
  readonly code: Extract<ErrorCode, `UPSTREAM_${string}`>;
  readonly kind: UpstreamFailure;
}

export const failure = {
  connect: { code: 'UPSTREAM_CONNECT_FAILED', kind: 'connect' },
  connectTimeout: { code: 'UPSTREAM_CONNECT_TIMEOUT', kind: 'timeout' },
  tls: { code: 'UPSTREAM_TLS_FAILED', kind: 'tls' },
  reset: { code: 'UPSTREAM_RESET', kind: 'reset' },
  malformed: { code: 'UPSTREAM_RESPONSE_INVALID', kind: 'malformed' },
  sendTimeout: { code: 'UPSTREAM_SEND_TIMEOUT', kind: 'timeout' },
  readTimeout: { code: 'UPSTREAM_READ_TIMEOUT', kind: 'timeout' },
  exhausted: { code: 'UPSTREAM_EXHAUSTED', kind: 'exhausted' },
  noFiles: { code: 'UPSTREAM_FILES_EXHAUSTED', kind: 'exhausted' },
} as const satisfies Record<string, Failure>;

/** What an error before the connection was made means. @param otherwise when it is the upstream's */
export function connectFailure({ code }: NodeJS.ErrnoException, otherwise: Failure): Failure {
  return code === 'EMFILE' || code === 'ENFILE' ? failure.noFiles : otherwise;
}
