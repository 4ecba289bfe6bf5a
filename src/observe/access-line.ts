// One finished exchange as a line of JSON, put together by hand: this runs once a request. Field names are in
// docs/observability.md.
import type { AccessEntry } from './contract.ts';

/** One line with its line end. `now`: milliseconds of the wall clock. JSON.parse gives back every value. */
export function formatAccessLine(entry: AccessEntry, now: number): string {
  return (
    `{"time":"${isoTime(now)}","remote_address":${text(entry.remoteAddress)},"method":${text(entry.method)}` +
    `,"host":${text(entry.host)},"target":${text(entry.target)},"http_version":"${entry.httpVersion}"` +
    `,"status":${number(entry.status)},"request_bytes":${number(entry.requestBodyBytes)}` +
    `,"response_bytes":${number(entry.responseBodyBytes)},"total_ms":${milliseconds(entry.totalMs)}` +
    `,"upstream_ms":${entry.upstreamMs < 0 ? 'null' : milliseconds(entry.upstreamMs)},"tls":${entry.tls ? 'true' : 'false'}` +
    `,"server_name":${text(entry.serverName)},"api":${text(entry.apiName)},"request_id":${text(entry.requestId)}` +
    `,"user_agent":${text(entry.userAgent)}${said('client_certificate', entry.clientCertificate)}` +
    `${said('error', entry.errorCode) + said('error_reason', entry.errorReason)}}\n`
  );
}

/** What JSON needs escaped, and surrogates, which UTF-8 cannot hold alone. */
// oxlint-disable-next-line no-control-regex -- JSON says so (RFC 8259 section 7)
const special = /[\u0000-\u001F"\\\uD800-\uDFFF]/;

function text(value: string | undefined): string {
  if (value === undefined) return 'null';
  return special.test(value) ? JSON.stringify(value) : `"${value}"`;
}

/** Of what needs no escaping, where there is something. */
function said(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":"${value}"`;
}

function number(value: number): string {
  return Number.isFinite(value) ? String(value) : 'null';
}

/** `.000` to `.999`: writing a number with a fraction is slow. */
const fractions = Array.from({ length: 1000 }, (_, thousandths) => `.${String(thousandths).padStart(3, '0')}`);

function milliseconds(value: number): string {
  const microseconds = Math.round(value * 1000);
  if (!(microseconds >= 0 && microseconds < 1e12)) return number(microseconds / 1000);
  const whole = Math.floor(microseconds / 1000);
  return `${whole}${fractions[microseconds - whole * 1000] ?? ''}`;
}

let second = Number.NaN;
let secondText = '';

/** The same as toISOString, which is made once a second. */
function isoTime(now: number): string {
  const current = Math.floor(now / 1000);
  if (current !== second) {
    second = current;
    secondText = new Date(current * 1000).toISOString().slice(0, -5);
  }
  return `${secondText}${fractions[Math.floor(now) - current * 1000] ?? ''}Z`;
}
