// What the host, path, method, name and URL of an API must look like, and what is said when they do not.
import { isIPv4 } from 'node:net';
import { parseHostName, type HostNameProblem } from '../../model/host-name.ts';

export type Checked =
  | { readonly kind: 'sound'; readonly value: string }
  | { readonly kind: 'unsound'; readonly why: Why };

/** `about` names the value where the generation does not do so by itself. */
interface Why {
  readonly rule: string;
  readonly hint?: string | undefined;
}

/** Addresses are allowed: requests are routed by them though no certificate can be. */
export function checkApiHost(text: string): Checked {
  if (isIPv4(text)) return sound(text);
  const parsed = parseHostName(text);
  if (parsed.kind === 'invalid') return unsound(hostRules[parsed.problem], hostHints[parsed.problem]);
  return parsed.name === '*'
    ? unsound('Invalid wildcard placement', hostHints['wildcard-placement'])
    : sound(parsed.name);
}

const hostRules: Readonly<Record<HostNameProblem, string>> = {
  empty: 'host is empty',
  'too-long': 'Invalid hostname',
  ip: 'Invalid hostname',
  port: 'Invalid hostname',
  characters: 'Invalid hostname',
  'many-wildcards': 'Only one wildcard is allowed',
  'wildcard-placement': 'Invalid wildcard placement',
};

const hostHints: Readonly<Partial<Record<HostNameProblem, string>>> = {
  'too-long': 'A host name has at most 253 characters, each label at most 63.',
  port: 'Leave the port out: requests are matched on any port.',
  ip: 'IPv6 addresses cannot be matched; use a host name.',
  characters: 'Use letters, digits, hyphens and dots.',
  'wildcard-placement': 'The wildcard must be the whole first or last label: *.example.com or example.*',
};

/** @returns without a trailing slash */
export function checkPath(text: string): Checked {
  if (text === '') return unsound('uri is empty');
  if (!text.startsWith('/')) return unsound('must be prefixed with slash');
  if (text.includes('//')) return unsound('invalid', 'A path has no empty segments.');
  if (!/^[\w.\-~/%]*$/.test(text)) {
    return unsound(
      "must only contain alphanumeric and '., -, _, ~, /, %' characters",
      'Regular expressions are not supported.',
    );
  }
  const broken = /%(?![0-9a-f]{2}).{0,2}/i.exec(text);
  if (broken !== null) return unsound(`must use proper encoding; '${broken[0]}' is invalid`);
  return sound(text === '/' ? text : text.replace(/\/$/, ''));
}

export function checkMethod(text: string): Checked {
  return /^[A-Z]{1,32}$/.test(text) ? sound(text) : unsound('invalid value', 'Write methods in upper case.');
}

export function checkApiName(text: string): Checked {
  return /^[\w.\-~]{1,512}$/.test(text)
    ? sound(text)
    : unsound("name must only contain alphanumeric and '., -, _, ~' characters");
}

/** The name of an API that was given none: its host, else its path. */
export function defaultApiName(host: string | undefined, path: string | undefined): string | undefined {
  const source = host ?? path?.replace(/^\//, '').replaceAll('/', '-');
  return source === undefined ? undefined : source.replaceAll(/[^\w.\-~]/g, '-') || '-';
}

const supportedSchemes: ReadonlySet<string> = new Set(['http', 'https', 'grpc', 'grpcs']);

export function checkUpstreamUrl(text: string): Checked {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/?#]/i.exec(text)?.[1]?.toLowerCase();
  // URL would drop line breaks and tabs.
  // oxlint-disable-next-line no-control-regex
  if (scheme === undefined || /[\s\x00-\x1f\\]/.test(text) || !URL.canParse(text)) {
    return unsound('upstream_url is not a url', 'Write it like http://host:port/path');
  }
  if (!supportedSchemes.has(scheme)) {
    return unsound('Supported protocols are HTTP and HTTPS', 'Write http, https, or for gRPC grpc or grpcs.');
  }
  const { username, password, search, hash } = new URL(text);
  if (username !== '' || password !== '') return unsound('upstream_url must not have a user name or password');
  if (search !== '' || hash !== '') return unsound('upstream_url must not have a query or fragment');
  return sound(text);
}

function sound(value: string): Checked {
  return { kind: 'sound', value };
}

function unsound(rule: string, hint?: string): Checked {
  return { kind: 'unsound', why: { rule, hint } };
}
