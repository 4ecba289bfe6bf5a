// Keeps web pages away from an Admin API that needs no password on loopback: a page that made its own name resolve to
// 127.0.0.1 (DNS rebinding) is known by its Host, one that posts a form across origins by Origin or Sec-Fetch-Site.
import { PortunusError } from '../lib/errors.ts';
import { isOwnName, type OwnNames } from '../lib/own-names.ts';

export interface RequestOrigin {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly secFetchSite: string | undefined;
}

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** @throws ADMIN_HOST_REFUSED, ADMIN_ORIGIN_REFUSED */
export function guardAgainstBrowsers(request: RequestOrigin, names: OwnNames): void {
  const { method, host, origin, secFetchSite } = request;
  if (!isOwnName(host, names)) {
    throw new PortunusError('ADMIN_HOST_REFUSED', 'The Admin API does not answer to this Host', {
      hint: 'Call it by an IP address, by localhost, by the name of its machine or by one of admin_hosts.',
    });
  }
  if (safeMethods.has(method)) return;
  const crossSite = secFetchSite !== undefined && secFetchSite !== 'same-origin' && secFetchSite !== 'none';
  if (crossSite || (origin !== undefined && originHost(origin) !== host?.toLowerCase())) {
    throw new PortunusError('ADMIN_ORIGIN_REFUSED', 'The Admin API takes no changes from web pages of other origins');
  }
}

function originHost(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/i.exec(origin)?.[1]?.toLowerCase();
}
