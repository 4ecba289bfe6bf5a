// PEM (RFC 7468) as people send it: any text around the blocks, CRLF, indentation, headers (RFC 1421), lost line breaks.
// Finds blocks and decodes their base64; what is inside them is material.ts's question.
import { readElement } from './read-der.ts';

/** Blocks read of one input, broken ones included; what comes after them is not looked at. */
export const pemBlocksMax = 64;

const begin = '-----BEGIN ';
const dashes = '-----';
const labelMaxLength = 64;

export type PemBlock = PemContent | PemFault;

export interface PemContent {
  readonly kind: 'content';
  readonly label: string;
  /** `Proc-Type` and `DEK-Info` of the legacy encryption. */
  readonly headers: readonly string[];
  readonly bytes: Buffer;
  /** Spaces in the base64 had to be read as plus signs for the length to be right. */
  readonly plusSignsRestored: boolean;
  /** Line of BEGIN, from 1. */
  readonly line: number;
}

export interface PemFault {
  readonly kind: 'fault';
  readonly label: string;
  readonly fault: 'no-end' | 'not-base64' | 'empty';
  readonly line: number;
}

export interface PemScan {
  readonly blocks: readonly PemBlock[];
  /** There were more blocks than `pemBlocksMax`. */
  readonly truncated: boolean;
}

export function scanPem(text: string): PemScan {
  const blocks: PemBlock[] = [];
  let line = 1;
  let counted = 0;
  let at = text.indexOf(begin);
  while (at !== -1) {
    if (blocks.length === pemBlocksMax) return { blocks, truncated: true };
    line += lineBreaks(text.slice(counted, at));
    counted = at;
    const { block, next } = readBlock(text, at, line);
    if (block !== undefined) blocks.push(block);
    at = text.indexOf(begin, next);
  }
  return { blocks, truncated: false };
}

/** One block: lines of 64 characters, ended by a newline. */
export function encodePem(label: string, bytes: Uint8Array, headers: readonly string[] = []): string {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  const head = headers.length === 0 ? [] : [...headers, ''];
  return [`${begin}${label}${dashes}`, ...head, ...lines, `-----END ${label}${dashes}`, ''].join('\n');
}

function readBlock(text: string, at: number, line: number): { readonly block?: PemBlock; readonly next: number } {
  const labelStart = at + begin.length;
  const labelEnd = text.indexOf(dashes, labelStart);
  const label = labelEnd === -1 ? '' : text.slice(labelStart, Math.min(labelEnd, labelStart + labelMaxLength + 1));
  if (!/^[A-Z0-9 .#-]{1,64}$/.test(label)) return { next: labelStart };
  const bodyStart = labelEnd + dashes.length;
  const end = text.indexOf(`-----END ${label}${dashes}`, bodyStart);
  const nextBegin = text.indexOf(begin, bodyStart);
  if (end === -1 || (nextBegin !== -1 && nextBegin < end)) {
    return { block: { kind: 'fault', label, fault: 'no-end', line }, next: bodyStart };
  }
  return { block: readBody(text.slice(bodyStart, end), label, line), next: end };
}

function readBody(body: string, label: string, line: number): PemBlock {
  const lines = body.split(/\r\n|\n|\r/);
  const headers: string[] = [];
  // Only these two headers occur, and a value that ends in a backslash (continued) in neither.
  const isHeader = (text: string) => /^\s*[A-Za-z][A-Za-z-]*: /.test(text);
  const base64Lines = lines.filter((text) => {
    if (isHeader(text)) headers.push(text.trim());
    return !isHeader(text);
  });
  const plain = decodeBase64(base64Lines.join('').replaceAll(/\s+/g, ''));
  if (plain !== undefined && fillsOneElement(plain)) {
    return { kind: 'content', label, headers, bytes: plain, plusSignsRestored: false, line };
  }
  const restored = decodeBase64(base64Lines.join('').replaceAll(' ', '+').replaceAll(/\s+/g, ''));
  if (restored !== undefined && fillsOneElement(restored)) {
    return { kind: 'content', label, headers, bytes: restored, plusSignsRestored: true, line };
  }
  if (plain === undefined) return { kind: 'fault', label, fault: 'not-base64', line };
  if (plain.length === 0) return { kind: 'fault', label, fault: 'empty', line };
  return { kind: 'content', label, headers, bytes: plain, plusSignsRestored: false, line };
}

/** Standard or URL alphabet, padded or not, no white space; undefined when it is something else. */
export function decodeBase64(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return undefined;
  const digits = text.replace(/=+$/, '');
  return digits.length % 4 === 1 ? undefined : Buffer.from(digits, 'base64');
}

function fillsOneElement(bytes: Uint8Array): boolean {
  return readElement(bytes)?.whole.length === bytes.length;
}

function lineBreaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}
