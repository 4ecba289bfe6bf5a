// CIDR ranges and single addresses, IPv4 and IPv6, in one normal form. No host names.
import { isIP } from 'node:net';

/**
 * `10.1.2.3/8` → `10.0.0.0/8`, `::1` → `::1/128`; an IPv4 address inside IPv6 (`::ffff:10.0.0.1`) becomes IPv4.
 * Undefined when it is none of these.
 */
export function parseIpRange(text: string): string | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const family = address.includes('%') ? 0 : isIP(address);
  if (family === 0 || rest.length > 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  if (length !== undefined && !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const prefix = length === undefined ? bits : Number(length);
  if (prefix > bits) return undefined;
  const value = masked(family === 4 ? fromIpv4(address) : fromIpv6(address), prefix, bits);
  if (family === 6 && prefix >= 96 && value >> 32n === 0xffffn) {
    return `${toIpv4(value & 0xffff_ffffn)}/${prefix - 96}`;
  }
  return `${family === 4 ? toIpv4(value) : toIpv6(value)}/${prefix}`;
}

/** 127.0.0.0/8 and ::1, also as an IPv4 address inside IPv6. */
export function isLoopback(address: string): boolean {
  const range = parseIpRange(address);
  return range !== undefined && (range.startsWith('127.') || range === '::1/128');
}

/** The form in which two equal addresses are equal texts; undefined when it is no address. */
export function normalAddress(address: string): string | undefined {
  if (isIP(address) === 4) return toIpv4(fromIpv4(address));
  return isIP(address) === 6 && !address.includes('%') ? toIpv6(fromIpv6(address)) : undefined;
}

function masked(value: bigint, prefix: number, bits: number): bigint {
  const host = BigInt(bits - prefix);
  return (value >> host) << host;
}

function fromIpv4(address: string): bigint {
  return address.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function toIpv4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.');
}

function fromIpv6(address: string): bigint {
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = groups.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0');
  return [...first, ...zeros, ...last].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

function toIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - index * 16)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
