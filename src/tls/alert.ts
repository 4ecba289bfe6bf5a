// Alerts in the clear, for handshakes that end before OpenSSL has taken part (RFC 8446 section 6).

const descriptions = {
  decode_error: 50,
  internal_error: 80,
  unrecognized_name: 112,
  no_application_protocol: 120,
} as const;

export type Alert = keyof typeof descriptions;

/** A fatal alert in one record, under the record version every client understands. */
export function alertRecord(alert: Alert): Uint8Array {
  const contentTypeAlert = 21;
  const fatal = 2;
  return Uint8Array.of(contentTypeAlert, 3, 3, 0, 2, fatal, descriptions[alert]);
}
