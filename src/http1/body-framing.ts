// How long a message's body is (RFC 9112 section 6): the one place that reads Content-Length and Transfer-Encoding.
import type { HttpCode } from './codes.ts';
import { isToken } from './octets.ts';

export type BodyKind = 'none' | 'length' | 'chunked' | 'until-close';

/** Digits of the longest Content-Length taken: below 2^53, so that counting stays exact. */
const lengthMaxDigits = 15;

/** Of all Transfer-Encoding values together. */
const codingsMaxLength = 256;

/**
 * One Content-Length value. Only digits: no sign, no list, no space (RFC 9110 section 8.6 permits refusing the list), and
 * no zero before others, for `010` is eight to a reader that takes numbers as C does.
 *
 * @returns -1 when malformed or beyond 15 digits
 */
export function parseContentLength(value: string): number {
  if (value.length === 0 || value.length > lengthMaxDigits) return -1;
  if (value.length > 1 && value.startsWith('0')) return -1;
  let length = 0;
  for (let index = 0; index < value.length; index += 1) {
    const digit = value.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}

/** Every Transfer-Encoding value of a message, joined: `undefined` when it says `chunked` and nothing else. */
export function checkTransferEncoding(value: string): HttpCode | undefined {
  if (value === 'chunked') return undefined;
  // The expressions below would take the square of the length of what is made to be long.
  if (value.length > codingsMaxLength) return 'HTTP_TRANSFER_CODING_INVALID';
  const codings = value.split(',').map((coding) => coding.replace(/^[ \t]+|[ \t]+$/g, ''));
  let unknown = false;
  for (const [index, coding] of codings.entries()) {
    const name = coding.split(/[ \t]*;/, 1)[0] ?? '';
    if (!isToken(name)) return 'HTTP_TRANSFER_CODING_INVALID';
    if (name.toLowerCase() !== 'chunked') unknown = true;
    else if (index < codings.length - 1 || name.length < coding.length) return 'HTTP_TRANSFER_CODING_INVALID';
  }
  return unknown ? 'HTTP_TRANSFER_CODING_UNKNOWN' : undefined;
}
