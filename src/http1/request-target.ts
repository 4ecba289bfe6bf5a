// The request target (RFC 9112 section 3.2): its four forms, and the paths that are refused because a server behind could
// read another path in them.

export type RequestTarget =
  | {
      readonly kind: 'path';
      /** Begins with `/`, still encoded, without query. */
      readonly path: string;
      /** `` or with its `?`. */
      readonly query: string;
      /** Of an absolute target; undefined for origin form. */
      readonly authority: string | undefined;
      readonly defaultPort: number;
    }
  | { readonly kind: 'asterisk' }
  | { readonly kind: 'invalid' };

const invalid: RequestTarget = { kind: 'invalid' };
const asterisk: RequestTarget = { kind: 'asterisk' };

/**
 * A target whose octets the parser has checked. `*` only for OPTIONS; CONNECT's authority form is not read here.
 *
 * Refused in the path: a dot segment, also spelled `%2e`, set apart by `%2f`, `\` or `%5c`, or followed by `;` or `%3b`; an encoded NUL; a backslash;
 * a `%` without two hexadecimal digits. A query may hold any of them.
 */
export function parseRequestTarget(target: string, method: string): RequestTarget {
  if (target.charCodeAt(0) === 0x2f) return splitPath(target, undefined, 80);
  if (target === '*') return method === 'OPTIONS' ? asterisk : invalid;
  const scheme = /^(https?):\/\//i.exec(target);
  if (scheme === null) return invalid;
  const start = scheme[0].length;
  const end = start + target.slice(start).search(/[/?]|$/);
  const rest = target.slice(end);
  const defaultPort = scheme[1]?.length === 5 ? 443 : 80;
  return splitPath(rest.startsWith('/') ? rest : `/${rest}`, target.slice(start, end), defaultPort);
}

function splitPath(text: string, authority: string | undefined, defaultPort: number): RequestTarget {
  const mark = text.indexOf('?');
  const path = mark === -1 ? text : text.slice(0, mark);
  const query = mark === -1 ? '' : text.slice(mark);
  return isSafePath(path) ? { kind: 'path', path, query, authority, defaultPort } : invalid;
}

function isSafePath(path: string): boolean {
  if (!path.includes('.') && !path.includes('%') && !path.includes('\\')) return true;
  return !/\\|%(?![0-9A-Fa-f]{2})|%00|(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?:\/|%2f|%5c|;|%3b|$)/i.test(path);
}
