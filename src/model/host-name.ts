// Host names as certificates and routes know them: one normal form (lower case, A-labels, no trailing dot), wildcards at
// either end, and the order in which a server name is looked up. No DNS, no certificates.
import { domainToASCII } from 'node:url';
import { isIP } from 'node:net';

/** RFC 1035 section 2.3.4: 253 characters without the trailing dot. */
export const hostNameMaxLength = 253;
const labelMaxLength = 63;

export type HostName =
  | { readonly kind: 'exact'; readonly name: string }
  /** `*.rest` (prefix), `rest.*` (suffix) or `*`. */
  | { readonly kind: 'wildcard'; readonly name: string }
  | { readonly kind: 'invalid'; readonly problem: HostNameProblem };

export type HostNameProblem =
  | 'empty'
  | 'too-long'
  | 'ip'
  | 'port'
  | 'characters'
  | 'many-wildcards'
  | 'wildcard-placement';

/**
 * Reads a host name or wildcard as a person may write it: any case, U-labels, a trailing dot.
 * Wildcards: `*.example.com`, `example.*`, `*`; exactly one `*`, a whole label, leftmost or rightmost.
 */
export function parseHostName(text: string): HostName {
  const bare = text.endsWith('.') ? text.slice(0, -1) : text;
  if (bare === '') return invalid('empty');
  if (bare.length > hostNameMaxLength * 4) return invalid('too-long');
  if (bare === '*') return { kind: 'wildcard', name: '*' };
  if (isIP(bare) !== 0 || (bare.startsWith('[') && bare.includes(']'))) return invalid('ip');
  if (/:\d*$/.test(bare)) return invalid(isIP(bare.replace(/:\d*$/, '')) === 0 ? 'port' : 'ip');
  const stars = bare.split('*').length - 1;
  if (stars > 1) return invalid('many-wildcards');
  if (stars === 1) {
    const rest = bare.startsWith('*.') ? bare.slice(2) : bare.endsWith('.*') ? bare.slice(0, -2) : undefined;
    if (rest === undefined) return invalid('wildcard-placement');
    const name = normalize(rest);
    if (typeof name !== 'string') return name;
    const whole = bare.startsWith('*.') ? `*.${name}` : `${name}.*`;
    return whole.length > hostNameMaxLength ? invalid('too-long') : { kind: 'wildcard', name: whole };
  }
  const name = normalize(bare);
  return typeof name === 'string' ? { kind: 'exact', name } : name;
}

/**
 * The server name of a ClientHello (RFC 6066 section 3) in normal form, or undefined when it is not a host name: such a
 * client gets the default certificate.
 */
export function parseServerName(text: string): string | undefined {
  const lower = text.toLowerCase();
  const name = lower.endsWith('.') ? lower.slice(0, -1) : lower;
  return isNormal(name) && isIP(name) === 0 ? name : undefined;
}

/**
 * The names under which a server name's certificate may be bound, best first: the name itself, `*.rest` (exactly one
 * label replaced, never down to a single label), `name.*` (last label replaced), `*`. The store binds the certificate
 * that stands in for the default under the empty name, which comes last.
 */
export function selectionOrder(serverName: string | undefined): readonly string[] {
  if (serverName === undefined) return [''];
  const first = serverName.indexOf('.');
  if (first === -1) return [serverName, '*', ''];
  const last = serverName.lastIndexOf('.');
  const suffix = `${serverName.slice(0, last)}.*`;
  return first === last
    ? [serverName, suffix, '*', '']
    : [serverName, `*.${serverName.slice(first + 1)}`, suffix, '*', ''];
}

/**
 * The names under which the policy of a host may be written, best first: every way in which an API may name it, so that no API
 * is reached past a policy of the same name; then `*`.
 *
 * @param host in normal form; undefined or `` when none was named
 */
export function policyOrder(host: string | undefined): readonly string[] {
  return host === undefined || host === '' ? ['*'] : [...hostPatterns(host), '*'];
}

/** Every way in which an API may name this host, best first. A wildcard stands for one label or more. */
export function* hostPatterns(host: string): Iterable<string> {
  yield host;
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) yield `*${host.slice(dot)}`;
  for (let dot = host.lastIndexOf('.'); dot > 0; dot = host.lastIndexOf('.', dot - 1)) yield `${host.slice(0, dot)}.*`;
}

function normalize(text: string): string | (HostName & { kind: 'invalid' }) {
  const ascii = isAscii(text) ? text.toLowerCase() : domainToASCII(text);
  if (ascii.length > hostNameMaxLength) return invalid('too-long');
  return isNormal(ascii) ? ascii : invalid('characters');
}

/** Letters, digits, hyphen (not at either end of a label) and underscore, which real host names use. */
function isNormal(name: string): boolean {
  if (name.length === 0 || name.length > hostNameMaxLength) return false;
  return name
    .split('.')
    .every((label) => label.length <= labelMaxLength && /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/.test(label));
}

function isAscii(text: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(text);
}

function invalid(problem: HostNameProblem): HostName & { kind: 'invalid' } {
  return { kind: 'invalid', problem };
}
