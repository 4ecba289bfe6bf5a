// Which peers' forwarded headers and PROXY headers are believed (`trusted_ips`).
import { BlockList, isIPv4 } from 'node:net';

/** @param ranges CIDR ranges in normal form; none: nobody is trusted */
export function createTrustedPeers(ranges: readonly string[]): (address: string) => boolean {
  if (ranges.length === 0) return () => false;
  const list = new BlockList();
  for (const range of ranges) {
    const slash = range.lastIndexOf('/');
    const network = range.slice(0, slash);
    list.addSubnet(network, Number(range.slice(slash + 1)), isIPv4(network) ? 'ipv4' : 'ipv6');
  }
  return (address) => list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}
