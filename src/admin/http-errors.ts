// Errors that look the same in every dialect: `{"message": …}`, with a `hint` where one helps.
import { errorCodes, type ErrorCode, type PortunusError } from '../lib/errors.ts';
import type { Answer } from './contract.ts';

export const unexpectedError: Answer = { status: 500, body: { message: 'An unexpected error occurred' } };

/** About the store, for whoever writes: whether something was written, and what to do. Nothing about the inside. */
const storeErrors: Readonly<Partial<Record<ErrorCode, Answer>>> = {
  STORE_UNAVAILABLE: {
    status: 503,
    body: {
      message: 'The datastore is unavailable',
      code: 'STORE_UNAVAILABLE',
      hint: 'Nothing was changed, and serving goes on. Try again when the datastore is back; /status says why it is away.',
    },
    headers: { 'retry-after': '2' },
  },
  STORE_OUTCOME_UNKNOWN: {
    status: 503,
    body: {
      message: 'The datastore was lost while it stored this: it may be there or not',
      code: 'STORE_OUTCOME_UNKNOWN',
      hint: 'Read back whether it is there before you repeat it.',
    },
  },
  STORE_DAMAGED: {
    status: 503,
    body: {
      message: 'A part of the local store is damaged and cannot be read',
      code: 'STORE_DAMAGED',
      hint: 'What can be read goes on serving. The log and docs/errors.md say what to do.',
    },
  },
  STORE_NEWER: {
    status: 503,
    body: {
      message: 'The datastore was written by a newer version of Portunus, and this node may not write to it',
      code: 'STORE_NEWER',
      hint: 'Write through a node of the newer version, or bring this one up to it.',
    },
  },
};

const challenge = 'Bearer realm="portunus"';

/** RFC 6750 section 3. */
const authenticationHeaders: Readonly<Partial<Record<ErrorCode, (error: PortunusError) => Answer['headers']>>> = {
  ADMIN_TOKEN_MISSING: () => ({ 'www-authenticate': challenge }),
  ADMIN_TOKEN_INVALID: () => ({ 'www-authenticate': `${challenge}, error="invalid_token"` }),
  ADMIN_ROLE_INSUFFICIENT: () => ({ 'www-authenticate': `${challenge}, error="insufficient_scope"` }),
  // RFC 9110 has no challenge for what the handshake proves.
  ADMIN_CERTIFICATE_MISSING: () => undefined,
  ADMIN_CERTIFICATE_INVALID: () => undefined,
  ADMIN_FAILURES_TOO_MANY: ({ facts }) => ({ 'retry-after': String(facts['retryAfterSeconds']) }),
};

function authenticationError(error: PortunusError): Answer {
  const { code, message, hint, status } = error;
  return {
    status,
    body: { message, code, ...(hint !== undefined && { hint }) },
    headers: authenticationHeaders[code]?.(error),
  };
}

/** An error that is not the client's says nothing about the inside. */
export function httpError(error: PortunusError): Answer {
  const { blame } = errorCodes[error.code];
  if (error.code in authenticationHeaders) return authenticationError(error);
  if (error.code === 'ENTITY_NOT_FOUND') return { status: 404, body: { message: error.message } };
  if (blame === 'client') {
    return {
      status: error.status,
      body: { message: error.message, ...(error.hint !== undefined && { hint: error.hint }) },
    };
  }
  return storeErrors[error.code] ?? unexpectedError;
}
