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
  // x509
  CERTIFICATE_UNREADABLE: client(400, 'The certificate is not PEM, DER or base64 that holds an X.509 certificate.'),
  CERTIFICATE_FORMAT_UNSUPPORTED: client(
    400,
    'The input is PKCS#7 without certificates, or PKCS#12 that is protected in a way that is not read.',
  ),
  CERTIFICATE_TOO_LARGE: client(400, 'The certificate or key input is larger than its limit.'),
  CERTIFICATE_CHAIN_TOO_LONG: client(400, 'There are more chain certificates than the limit.'),
  CERTIFICATE_NO_LEAF: client(400, 'There are only CA certificates and no server certificate.'),
  CERTIFICATE_SEVERAL_LEAVES: client(400, 'There is more than one server certificate.'),
  CERTIFICATE_KEY_MISMATCH: client(400, 'The private key does not belong to the server certificate.'),
  CERTIFICATE_EXPIRED: client(400, 'The server certificate has expired; force=true takes it all the same.'),
  CERTIFICATE_NOT_AUTHORITY: client(400, 'An authority is one CA certificate: this is another one, or several.'),
  CRL_UNREADABLE: client(400, 'The revocation list is not PEM or DER of one whole list, or is larger than its limit.'),
  CRL_NOT_SIGNED: client(400, 'The revocation list is not signed by the authority it was sent for.'),
  CRL_OUTDATED: client(
    400,
    'The revocation list has run out, or is older than the stored one; force=true takes it all the same.',
  ),
  CRL_NOT_YET_VALID: client(400, 'The revocation list is of a time to come; force=true takes it all the same.'),
  KEY_MISSING: client(400, 'No private key was given.'),
  KEY_UNREADABLE: client(400, 'The private key is not PEM, DER or base64 that holds a private key, or it is damaged.'),
  KEY_ENCRYPTED: client(400, 'The private key or PKCS#12 file is encrypted and no passphrase was given.'),
  KEY_PASSPHRASE_WRONG: client(400, 'The passphrase does not open the private key or PKCS#12 file.'),
  KEY_TOO_WEAK: client(400, 'A key is weaker than the floor: RSA under ssl_min_rsa_bits or a curve under P-256.'),
  KEY_UNSUPPORTED: client(400, 'The key is of a kind that TLS clients do not accept or that cannot be read.'),

  // store
  NAME_ALREADY_BOUND: client(409, 'A host name is bound to another certificate; the message names the holder.'),
  UNIQUE_VIOLATION: client(409, 'Another entity already has this unique value.'),
  REFERENCE_MISSING: client(400, 'A field refers to an entity that does not exist.'),
  STILL_REFERENCED: client(400, 'An entity cannot be deleted while another one refers to it.'),
  ENTITIES_TOO_MANY: client(400, 'There are as many entities of this kind as may be.'),
  CURSOR_INVALID: client(400, 'The position to continue a list from is not one that a list gave out.'),
  STORE_UNAVAILABLE: {
    status: 503,
    blame: 'operator',
    retry: true,
    summary: 'The datastore cannot be reached or written.',
  },
  STORE_OUTCOME_UNKNOWN: {
    status: 503,
    blame: 'operator',
    retry: false,
    summary: 'The datastore was lost during a commit: read back whether the write is there before you repeat it.',
  },
  STORE_NEWER: {
    status: 503,
    blame: 'operator',
    retry: false,
    summary: 'The store was written by a newer version of Portunus.',
  },
  STORE_DAMAGED: {
    status: 503,
    blame: 'operator',
    retry: false,
    summary: 'The store is not a Portunus database, or its file is damaged.',
  },
  STORE_REPLACED: {
    blame: 'operator',
    retry: false,
    summary: 'PostgreSQL holds another store than the one that a node has a replica of.',
  },
  MIGRATION_CONFLICT: {
    blame: 'operator',
    retry: false,
    summary: 'The target of a migration holds something else than the source.',
  },
  KEYRING_UNREADABLE: {
    blame: 'operator',
    retry: false,
    summary: 'The keyring file or variable is missing or malformed.',
  },
  KEYRING_ROTATING: { blame: 'operator', retry: true, summary: 'Another rotation of the keyring is under way.' },
  KEYRING_MISMATCH: { blame: 'operator', retry: false, summary: 'No key of the keyring opens what the store holds.' },

  // admin
  BODY_UNPARSABLE: client(
    400,
    'A request body does not follow its own media type, or has too many or too deep fields.',
  ),
  BODY_TOO_LARGE: client(413, 'A request body is larger than `admin_body_max_size`.'),
  MEDIA_TYPE_UNSUPPORTED: client(415, 'A request body is neither JSON, urlencoded nor multipart/form-data.'),
  INPUT_INVALID: client(400, 'Fields of a request are missing, unknown or have an unusable value; each is named.'),
  ENTITY_NOT_FOUND: client(404, 'The entity that a request names does not exist.'),
  REQUEST_TARGET_INVALID: client(400, 'The path of an Admin API request is malformed.'),
  LIST_SIZE_INVALID: client(400, 'The page size of a list is not a number in its range.'),
  LIST_FILTER_INVALID: client(400, 'The filter of a list is malformed.'),
  ADMIN_HOST_REFUSED: client(403, 'The Host of an Admin API request is a name this node was not told to answer to.'),
  ADMIN_ORIGIN_REFUSED: client(403, 'A web page of another origin tried to change something.'),
  ADMIN_TOKEN_MISSING: client(
    401,
    'The listener takes requests with a token only, or a client certificate where it asks for them, and none was sent.',
  ),
  ADMIN_TOKEN_INVALID: client(401, 'The token that was sent is none of this gateway, was revoked, or has expired.'),
  ADMIN_CERTIFICATE_MISSING: client(
    403,
    'The listener takes requests with a client certificate only, and none was sent.',
  ),
  ADMIN_CERTIFICATE_INVALID: client(
    403,
    'The client certificate is not one of an authority in `admin_ssl_client_ca`, or is out of its time, or revoked.',
  ),
  ADMIN_ROLE_INSUFFICIENT: client(403, 'The role of the token or certificate does not permit the request.'),
  ADMIN_FAILURES_TOO_MANY: {
    status: 429,
    blame: 'client',
    retry: true,
    summary:
      'A wrong token, and too many of them came from this address within a minute; Retry-After says when it is forgotten.',
  },
  ADMIN_NOBODY_PERMITTED: {
    blame: 'operator',
    retry: false,
    summary: 'A listener of the Admin API demands tokens, and there is none that lets anybody in.',
  },

  // tls
  DEFAULT_CERTIFICATE_UNUSABLE: {
    blame: 'operator',
    retry: false,
    summary: 'A certificate or key of ssl_cert cannot be read, or they do not belong together.',
  },

  // HTTP, what a client sends. Every refusal of a message closes its connection.
  HTTP_REQUEST_LINE_INVALID: client(400, 'The request line is not `method target version`.'),
  HTTP_METHOD_INVALID: client(400, 'The request method is not a token or is too long.'),
  HTTP_METHOD_UNSUPPORTED: client(501, 'CONNECT and TRACE are not served.'),
  HTTP_TARGET_INVALID: client(400, 'The request target is malformed or holds a dot segment.'),
  HTTP_TARGET_TOO_LONG: client(414, 'The request target is longer than request_target_max_size.'),
  HTTP_TARGET_DISAGREES: client(400, 'The authority of an absolute target is not the one in Host.'),
  HTTP_PATH_AMBIGUOUS: client(
    400,
    'The path leads to one API as it is written, and to another where encoded slashes or segment parameters are read.',
  ),
  HTTP_VERSION_INVALID: client(400, 'The HTTP version is malformed or older than 1.0.'),
  HTTP_VERSION_UNSUPPORTED: client(505, 'The HTTP version has no meaning in HTTP/1.x.'),
  HTTP_LINE_ENDING_INVALID: client(400, 'A line does not end with CR LF, or a CR stands alone.'),
  HTTP_FIELD_FOLDED: client(400, 'A header field is folded over lines.'),
  HTTP_FIELD_NAME_INVALID: client(400, 'A header field name is not a token, or whitespace precedes its colon.'),
  HTTP_FIELD_VALUE_INVALID: client(400, 'A header field value holds a control character.'),
  HTTP_HEAD_TOO_LARGE: client(431, 'The message head is larger than its limit.'),
  HTTP_FIELDS_TOO_MANY: client(431, 'The message has more header fields than request_headers_max.'),
  HTTP_HOST_MISSING: client(400, 'An HTTP/1.1 request has no Host.'),
  HTTP_HOST_REPEATED: client(400, 'A request has more than one Host.'),
  HTTP_HOST_INVALID: client(400, 'Host is not a host name or address with an optional port.'),
  HTTP_CONTENT_LENGTH_INVALID: client(400, 'Content-Length is not one plain decimal number.'),
  HTTP_FRAMING_AMBIGUOUS: client(400, 'The length of the body can be read in two ways.'),
  HTTP_TRANSFER_CODING_INVALID: client(400, 'Transfer-Encoding is malformed, or chunked is not its one last coding.'),
  HTTP_TRANSFER_CODING_UNKNOWN: client(501, 'Transfer-Encoding names a coding other than chunked.'),
  HTTP_CHUNK_INVALID: client(400, 'A chunk of the body is malformed.'),
  HTTP_CHUNK_EXTENSIONS_TOO_LARGE: client(400, 'The chunk extensions of a body are larger than their limit.'),
  HTTP_TRAILER_FORBIDDEN: client(400, 'A trailer field frames, routes or authenticates the message.'),
  HTTP_STATUS_LINE_INVALID: { status: 502, blame: 'upstream', retry: true, summary: 'A status line is malformed.' },
  HTTP_CONNECTION_FIELD: client(400, 'An HTTP/2 request has a field that speaks of its connection.'),
  HTTP_EXPECTATION_UNKNOWN: client(417, 'Expect names something other than 100-continue.'),
  HTTP_BODY_TOO_LARGE: client(413, 'The request body is larger than client_max_body_size.'),
  HTTP_REQUEST_TIMEOUT: { status: 408, blame: 'client', retry: true, summary: 'The request did not arrive in time.' },
  HTTP_BODY_TOO_SLOW: {
    status: 408,
    blame: 'client',
    retry: true,
    summary:
      'The request body came more slowly than client_rate_min, or than others while its upstream had no connection left.',
  },
  HTTP_RESPONSE_TOO_SLOW: {
    blame: 'client',
    retry: true,
    summary:
      'The client read its response more slowly than client_rate_min or than others while its upstream had no connection left, or not at all for client_send_timeout.',
  },
  HTTP_CLIENTS_HOLD_TOO_MUCH: {
    status: 503,
    blame: 'operator',
    retry: true,
    summary: 'All clients together made a worker hold more than client_pending_max_size, this one for longest.',
  },
  HTTP_TLS_REQUIRED: client(426, 'The API is served over HTTPS only.'),
  CLIENT_CERTIFICATE_REQUIRED: client(403, 'The host or the API wants a client certificate, and none was sent.'),
  CLIENT_CERTIFICATE_REFUSED: client(
    403,
    'The client certificate that was sent is not good enough for the host or the API; `hint` says why in a word.',
  ),
  CLIENT_CERTIFICATE_NEEDS_TLS: client(
    403,
    'The host or the API wants a client certificate, which only a client that comes over HTTPS to this gateway can show.',
  ),
  CONNECTION_NOT_PROVEN: {
    status: 421,
    blame: 'client',
    retry: true,
    summary:
      'The connection began with another name, or before a rule was set, and did not prove what the host demands; a new one that names it in SNI may.',
  },
  HTTP_LOOP: {
    status: 508,
    blame: 'operator',
    retry: false,
    summary: 'The request has come through gateways like this one ten times: an upstream leads back to it.',
  },
  HTTP_ROUTE_NOT_FOUND: client(404, 'No API takes this host, path and method.'),

  // upstream
  UPSTREAM_CONNECT_FAILED: upstream(502, 'The upstream refused the connection or cannot be reached.'),
  UPSTREAM_TLS_FAILED: upstream(502, 'The TLS handshake with the upstream failed, or its certificate is not trusted.'),
  UPSTREAM_RESET: upstream(502, 'The upstream closed the connection before its response was whole.'),
  UPSTREAM_RESPONSE_INVALID: upstream(
    502,
    'The upstream answered with something that is not a valid HTTP/1.x response, or with a page to a WebSocket of HTTP/2.',
  ),
  UPSTREAM_EXHAUSTED: upstream(503, 'All upstream_connections_max connections are in use.'),
  UPSTREAM_FILES_EXHAUSTED: {
    status: 503,
    blame: 'operator',
    retry: true,
    summary: 'This gateway may open no more files, so no connection to the upstream: raise the limit (ulimit -n).',
  },
  UPSTREAM_CONNECT_TIMEOUT: upstream(504, 'The upstream did not accept the connection in time.'),
  UPSTREAM_SEND_TIMEOUT: upstream(504, 'The upstream did not take the request in time.'),
  UPSTREAM_READ_TIMEOUT: upstream(504, 'The upstream did not answer in time.'),

  // process
  LISTEN_FAILED: { blame: 'operator', retry: true, summary: 'A listener could not be opened.' },
  WORKER_FAILED: { blame: 'portunus', retry: true, summary: 'A worker process ended before it accepted connections.' },
  USER_REFUSED: { blame: 'operator', retry: false, summary: 'Root cannot become the user that it is told to become.' },
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

/** What to write in a log of anything that was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function upstream(status: number, summary: string): CodeFacts {
  return { status, blame: 'upstream', retry: true, summary };
}

function client(status: number, summary: string): CodeFacts {
  return { status, blame: 'client', retry: false, summary };
}
