// Reads the header of the PROXY protocol, versions 1 and 2, from the bytes a connection begins with. Whether the peer
// may send one is listener.ts's.
import { isIPv4, isIPv6, SocketAddress } from 'node:net';

export type ProxyHeader =
  | {
      readonly kind: 'header';
      /** Where the client's own bytes begin. */
      readonly length: number;
      /** Whose connection it is; undefined when the header says only "my own" (LOCAL) or names no TCP address. */
      readonly client: ProxiedClient | undefined;
    }
  /** Nothing can be said before `needed` bytes, counted from the first, are there. */
  | { readonly kind: 'incomplete'; readonly needed: number }
  | { readonly kind: 'malformed'; readonly reason: ProxyHeaderProblem };

interface ProxiedClient {
  /** Without `::ffff:`. */
  readonly address: string;
  readonly port: number;
  /** The port that the client connected to. */
  readonly localPort: number;
}

type ProxyHeaderProblem = 'signature' | 'version' | 'command' | 'family' | 'address' | 'length' | 'too-large';

/** A version 2 header may fill 64 KiB with type-length-values; real ones stay under 500 bytes. */
export const proxyHeaderMaxBytes = 4096;

/** Version 1, its line end included. */
const lineMaxBytes = 107;
const signature1 = Buffer.from('PROXY ');
const signature2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
const header2Bytes = 16;

/** Bytes of the two addresses and ports, by the family and transport of version 2. Those with 0 tell no TCP address. */
const addressBytes: Readonly<Record<number, number>> = {
  0x00: 0,
  0x11: 12,
  0x12: 12,
  0x21: 36,
  0x22: 36,
  0x31: 216,
  0x32: 216,
};

/** Never throws. As with a ClientHello the answer does not depend on how the bytes arrived. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return incomplete(1);
  const signature = bytes[0] === signature1[0] ? signature1 : signature2;
  const seen = Math.min(bytes.length, signature.length);
  if (bytes.compare(signature, 0, seen, 0, seen) !== 0) return malformed('signature');
  if (seen < signature.length) return incomplete(signature.length);
  return signature === signature1 ? parseVersion1(bytes) : parseVersion2(bytes);
}

function parseVersion1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, lineMaxBytes).indexOf('\r\n');
  if (end === -1) return bytes.length >= lineMaxBytes ? malformed('too-large') : incomplete(bytes.length + 1);
  const length = end + 2;
  const [family, source, destination, sourcePort, destinationPort, ...rest] = bytes
    .toString('latin1', signature1.length, end)
    .split(' ');
  // Whatever follows UNKNOWN is to be ignored.
  if (family === 'UNKNOWN') return { kind: 'header', length, client: undefined };
  if (family !== 'TCP4' && family !== 'TCP6') return malformed('family');
  const isAddress = family === 'TCP4' ? isIPv4 : isPlainIPv6;
  const port = toPort(sourcePort);
  const localPort = toPort(destinationPort);
  if (source === undefined || destination === undefined || port === undefined || localPort === undefined) {
    return malformed('address');
  }
  if (!isAddress(source) || !isAddress(destination) || rest.length > 0) return malformed('address');
  return { kind: 'header', length, client: { address: normalizeAddress(source), port, localPort } };
}

function parseVersion2(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes[signature2.length];
  if (versionAndCommand === undefined) return incomplete(header2Bytes);
  if (versionAndCommand >> 4 !== 2) return malformed('version');
  const command = versionAndCommand & 0x0f;
  if (command > 1) return malformed('command');
  if (bytes.length < header2Bytes) return incomplete(header2Bytes);
  const family = bytes.readUInt8(13);
  const rest = bytes.readUInt16BE(14);
  const length = header2Bytes + rest;
  if (length > proxyHeaderMaxBytes) return malformed('too-large');
  const local = command === 0;
  const needed = addressBytes[family];
  if (!local && needed === undefined) return malformed('family');
  if (!local && rest < (needed ?? 0)) return malformed('length');
  // What is left after the addresses are type-length-values; none of them decides anything here.
  if (bytes.length < length) return incomplete(length);
  return { kind: 'header', length, client: local ? undefined : readAddresses(bytes, family) };
}

function readAddresses(bytes: Buffer, family: number): ProxiedClient | undefined {
  const at = header2Bytes;
  if (family === 0x11) {
    return {
      address: [...bytes.subarray(at, at + 4)].join('.'),
      port: bytes.readUInt16BE(at + 8),
      localPort: bytes.readUInt16BE(at + 10),
    };
  }
  if (family !== 0x21) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + index * 2).toString(16));
  return {
    address: normalizeAddress(groups.join(':')),
    port: bytes.readUInt16BE(at + 32),
    localPort: bytes.readUInt16BE(at + 34),
  };
}

/** An IP address in its shortest form, an IPv4-mapped one as IPv4. */
export function normalizeAddress(address: string): string {
  if (isIPv4(address)) return address;
  const lower = address.toLowerCase();
  const shortest = isIPv6(lower) ? new SocketAddress({ address: lower, family: 'ipv6' }).address : lower;
  return shortest.startsWith('::ffff:') && shortest.includes('.') ? shortest.slice(7) : shortest;
}

function isPlainIPv6(address: string): boolean {
  return isIPv6(address) && !address.includes('%');
}

function toPort(text: string | undefined): number | undefined {
  if (text === undefined || !/^(0|[1-9]\d{0,4})$/.test(text)) return undefined;
  const port = Number(text);
  return port > 65_535 ? undefined : port;
}

function incomplete(needed: number): ProxyHeader {
  return { kind: 'incomplete', needed };
}

function malformed(reason: ProxyHeaderProblem): ProxyHeader {
  return { kind: 'malformed', reason };
}
