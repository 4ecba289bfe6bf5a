// What a client is told that speaks plain HTTP to a TLS port.

const body = JSON.stringify({ message: 'The plain HTTP request was sent to HTTPS port' });

/** A whole HTTP/1.1 response. */
export const plainHttpAnswer: Uint8Array = Buffer.from(
  [
    'HTTP/1.1 400 Bad Request',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n'),
);
