// What Portunus answers itself: for each status its reason and its message, for each code its body. How the bytes are
// framed is downstream's.
import { type ErrorCode, errorCodes } from '../lib/errors.ts';

interface StatusText {
  readonly reason: string;
  readonly message: string;
}

const texts: Readonly<Record<number, StatusText>> = {
  400: { reason: 'Bad Request', message: 'Bad request' },
  403: { reason: 'Forbidden', message: 'TLS certificate failed verification' },
  404: { reason: 'Not Found', message: 'Not found' },
  408: { reason: 'Request Timeout', message: 'Request timeout' },
  411: { reason: 'Length Required', message: 'Length required' },
  413: { reason: 'Content Too Large', message: 'Payload too large' },
  414: { reason: 'URI Too Long', message: 'URI too long' },
  417: { reason: 'Expectation Failed', message: 'Expectation failed' },
  421: { reason: 'Misdirected Request', message: 'This connection was not made for this host: open another one' },
  426: { reason: 'Upgrade Required', message: 'Please use HTTPS protocol' },
  431: { reason: 'Request Header Fields Too Large', message: 'Request header fields too large' },
  500: { reason: 'Internal Server Error', message: 'An unexpected error occurred' },
  501: { reason: 'Not Implemented', message: 'Not implemented' },
  502: { reason: 'Bad Gateway', message: 'An invalid response was received from the upstream server' },
  503: { reason: 'Service Unavailable', message: 'The upstream server is currently unavailable' },
  504: { reason: 'Gateway Timeout', message: 'The upstream server is timing out' },
  505: { reason: 'HTTP Version Not Supported', message: 'HTTP version not supported' },
  508: { reason: 'Loop Detected', message: 'The request comes round and round' },
};
/** Where codes share a status. */
const messages: Partial<Record<ErrorCode, string>> = {
  // As clients of Kong know it.
  CLIENT_CERTIFICATE_REQUIRED: 'No required TLS certificate was sent',
  CLIENT_CERTIFICATE_NEEDS_TLS: 'Please use HTTPS protocol: a TLS certificate is required',
  HTTP_CLIENTS_HOLD_TOO_MUCH: 'The gateway holds too much for its clients',
};
const unexpected: StatusText = { reason: 'Internal Server Error', message: 'An unexpected error occurred' };

export interface OwnResponse {
  readonly status: number;
  /** `404 Not Found` */
  readonly statusText: string;
  /** Field lines beside Server, Date, Content-Type, Content-Length and the request id. */
  readonly fields: string;
  /** A field line, or none: Strict-Transport-Security of the API. */
  readonly hsts: string;
  /** JSON. */
  readonly body: string;
  /** Nothing more is answered on an HTTP/1.1 connection. */
  readonly close: boolean;
  /** What a gRPC client gets in its place. */
  readonly grpcStatus: number;
  readonly grpcMessage: string;
}

/**
 * The status of gRPC for one of HTTP: as its clients take it from a server that does not speak gRPC
 * (grpc/doc/http-grpc-status-mapping.md), and RESOURCE_EXHAUSTED for what is too large. Else UNKNOWN.
 */
const grpcStatuses: Readonly<Record<number, number>> = {
  400: 13,
  403: 7,
  404: 12,
  413: 8,
  431: 8,
  502: 14,
  503: 14,
  504: 14,
};
const grpcUnknown = 2;

/**
 * @param request for HTTP_ROUTE_NOT_FOUND, which tells what was asked
 * @param hint a word that says more than the code
 */
export function ownResponse(
  code: ErrorCode | undefined,
  requestId: string,
  request: { readonly host: string; readonly path: string },
  hsts = '',
  hint?: string,
): OwnResponse {
  const status = code === undefined ? 500 : (errorCodes[code].status ?? 500);
  const { reason, message } = texts[status] ?? unexpected;
  const said = code === undefined ? message : (messages[code] ?? message);
  return {
    status,
    statusText: `${status} ${reason}`,
    // RFC 9110 section 7.8: the protocol to change to, and that it concerns this connection.
    fields: code === 'HTTP_TLS_REQUIRED' ? 'Upgrade: TLS/1.2, HTTP/1.1\r\n' : '',
    hsts,
    body: JSON.stringify(bodyOf(code, said, requestId, request, hint)),
    // Its next request would be misdirected too.
    close: status === 421,
    grpcStatus: grpcStatuses[status] ?? grpcUnknown,
    grpcMessage: code === undefined ? said : `${code}: ${said}`,
  };
}

function bodyOf(
  code: ErrorCode | undefined,
  message: string,
  requestId: string,
  request: { readonly host: string; readonly path: string },
  hint: string | undefined,
): object {
  if (code === 'HTTP_TLS_REQUIRED') return { message };
  if (code !== 'HTTP_ROUTE_NOT_FOUND') return { message, code, hint, request_id: requestId };
  return {
    message: 'API not found with these values',
    request_host: request.host === '' ? [] : [request.host],
    request_path: request.path,
    code,
    request_id: requestId,
  };
}
