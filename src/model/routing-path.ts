// The path that routes are matched by, so that a route cannot be passed by under another spelling. The upstream gets the
// path as it came; only a matched prefix is taken off it.
//
// `/%61dmin` and `//admin` name what `/admin` names to most servers, so they match the same route: percent-encoded
// unreserved characters are read as themselves, other escapes in upper case (RFC 3986 section 6.2.2) and repeated slashes as
// one. Dot segments never come this far: the codec refuses them.

/** @param path begins with `/` */
export function routingPath(path: string): string {
  if (!path.includes('%') && !path.includes('//')) return path;
  return path.replace(/%[0-9A-Fa-f]{2}/g, readUnreserved).replace(/\/{2,}/g, '/');
}

/**
 * What some servers read in a path, and others do not: an encoded slash or backslash as a separator, and no parameters of
 * segments (`/admin;v=1`). Where it leads to another route than the path itself, which one holds is the server's to say.
 *
 * @param path a `routingPath`
 * @returns the same string where there is but one reading
 */
export function looseRoutingPath(path: string): string {
  if (!path.includes('%') && !path.includes(';')) return path;
  return path
    .replace(/%2F|%5C/g, '/')
    .replace(/(?:;|%3B)[^/]*/g, '')
    .replace(/\/{2,}/g, '/');
}

/**
 * The path behind a matched prefix; begins with `/`.
 *
 * @param prefix of `routingPath(path)`, at the end of a segment
 */
export function withoutPrefix(path: string, prefix: string): string {
  let end = prefix.length;
  if (!path.startsWith(prefix)) {
    end = 0;
    for (let seen = 0; seen < prefix.length; seen += 1) end = nextSpelled(path, end);
  }
  const rest = path.slice(end);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The offset behind the spelling, in `path` from `start`, of one character of the routing path. */
function nextSpelled(path: string, start: number): number {
  if (path.startsWith('/', start)) {
    let end = start + 1;
    while (path.startsWith('/', end)) end += 1;
    return end;
  }
  const escape = path.startsWith('%', start) ? path.slice(start, start + 3) : '';
  return escape !== '' && readUnreserved(escape).length === 1 ? start + 3 : start + 1;
}

function readUnreserved(escape: string): string {
  const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
}
