// The address of the client behind trusted proxies, by the rules of nginx's realip module.
import { isIP } from 'node:net';

/**
 * @param value of the header that names the client, every line of it joined; its last address is the nearest
 * @param recursive pass over trusted addresses from the end
 * @returns `peer` when the header holds no address
 */
export function clientAddress(
  peer: string,
  value: string | undefined,
  recursive: boolean,
  isTrusted: (address: string) => boolean,
): string {
  if (value === undefined) return peer;
  let found = peer;
  const elements = value.split(',');
  for (let index = elements.length - 1; index >= 0; index -= 1) {
    const address = bareAddress((elements[index] ?? '').trim());
    if (address === undefined) return found;
    found = address;
    if (!recursive || !isTrusted(address)) return found;
  }
  return found;
}

/** An address as proxies write it: bare, `[v6]`, or with a port. */
function bareAddress(text: string): string | undefined {
  if (isIP(text) !== 0) return text;
  const bracketed = /^\[(.*)\](?::\d{1,5})?$/.exec(text)?.[1];
  const bare = bracketed ?? /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? '';
  return isIP(bare) !== 0 ? bare : undefined;
}
