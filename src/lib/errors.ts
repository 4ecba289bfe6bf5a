// The one error class and the one table of stable codes. docs/errors.md lists the same codes, and test/errors.test.ts
// holds the two together. What an error looks like on the wire belongs to the dialects in admin/ and to proxy/.

/** Who has to act: the caller, this gateway's operator, or the upstream's. */
export type Blame = 'client' | 'operator' | 'upstream' | 'portunus';

export interface CodeFacts {
  /** HTTP status where the error reaches a client; undefined when it never does. */
  readonly status?: number;
  readonly blame: Blame;
  /** May the same call succeed later without being changed? */
  readonly retry: boolean;
  /** One sentence, as in docs/errors.md. */
  readonly summary: string;
}

const table = {
  // model
  HOST_NAME_INVALID: client(400, 'A host name is not a valid name or wildcard.'),

  // x509
  CERTIFICATE_UNREADABLE: client(400, 'The certificate is not PEM, DER or base64 that holds an X.509 certificate.'),
  CERTIFICATE_FORMAT_UNSUPPORTED: client(
    400,
    'The input is a PKCS#12 or PKCS#7 container, which must be converted to PEM.',
  ),
  CERTIFICATE_TOO_LARGE: client(400, 'The certificate or key input is larger than its limit.'),
  CERTIFICATE_CHAIN_TOO_LONG: client(400, 'There are more chain certificates than the limit.'),
  CERTIFICATE_NO_LEAF: client(400, 'There are only CA certificates and no server certificate.'),
  CERTIFICATE_SEVERAL_LEAVES: client(400, 'There is more than one server certificate.'),
  CERTIFICATE_KEY_MISMATCH: client(400, 'The private key does not belong to the server certificate.'),
  CERTIFICATE_EXPIRED: client(400, 'The server certificate has expired; force=true takes it all the same.'),
  KEY_MISSING: client(400, 'No private key was given.'),
  KEY_UNREADABLE: client(400, 'The private key is not PEM, DER or base64 that holds a private key, or it is damaged.'),
  KEY_ENCRYPTED: client(400, 'The private key is encrypted and no passphrase was given.'),
  KEY_PASSPHRASE_WRONG: client(400, 'The passphrase does not open the private key.'),
  KEY_TOO_WEAK: client(400, 'A key is weaker than the floor: RSA under ssl_min_rsa_bits or a curve under P-256.'),
  KEY_UNSUPPORTED: client(400, 'The key is of a kind that TLS clients do not accept or that cannot be read.'),

  // store
  NAME_ALREADY_BOUND: client(409, 'A host name is bound to another certificate; the message names the holder.'),
  UNIQUE_VIOLATION: client(409, 'Another entity already has this unique value.'),
  REFERENCE_MISSING: client(400, 'A field refers to an entity that does not exist.'),
  STORE_UNAVAILABLE: {
    status: 503,
    blame: 'operator',
    retry: true,
    summary: 'The datastore cannot be reached or written.',
  },
  STORE_NEWER: { blame: 'operator', retry: false, summary: 'The store was written by a newer version of Portunus.' },
  KEYRING_UNREADABLE: {
    blame: 'operator',
    retry: false,
    summary: 'The keyring file or variable is missing or malformed.',
  },
  KEYRING_MISMATCH: { blame: 'operator', retry: false, summary: 'No key of the keyring opens what the store holds.' },

  // process
  LISTEN_FAILED: { blame: 'operator', retry: true, summary: 'A listener could not be opened.' },
  ALREADY_RUNNING: { blame: 'operator', retry: false, summary: 'Another gateway runs on the same data directory.' },
} as const satisfies Record<string, CodeFacts>;

export type ErrorCode = keyof typeof table;

export const errorCodes: Readonly<Record<ErrorCode, CodeFacts>> = table;

export interface ErrorDetails {
  /** What to do about it, in plain words. */
  readonly hint?: string | undefined;
  /** The input field at fault, dotted: `config.cert`. */
  readonly field?: string | undefined;
  /** Facts a dialect needs to phrase its own message. Never key material. */
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

/** The only error Portunus throws on purpose. `message` is safe to show: it never holds key material. */
export class PortunusError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly field: string | undefined;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'PortunusError';
    this.code = code;
    this.hint = details.hint;
    this.field = details.field;
    this.facts = details.facts ?? {};
  }

  get status(): number {
    return errorCodes[this.code].status ?? 500;
  }
}

export function isPortunusError(value: unknown, code?: ErrorCode): value is PortunusError {
  return value instanceof PortunusError && (code === undefined || value.code === code);
}

function client(status: number, summary: string): CodeFacts {
  return { status, blame: 'client', retry: false, summary };
}
