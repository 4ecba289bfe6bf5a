// The Connection field (RFC 9110 section 7.6.1): what it asks of this connection, and which fields it takes along.
import { field, identifyName } from './field-names.ts';
import { isToken } from './octets.ts';

/** Bits of what the options ask for. */
export const option = { close: 1, keepAlive: 2, upgrade: 4, te: 8 } as const;

export interface ConnectionOptions {
  readonly bits: number;
  /**
   * Names in lower case of the fields to remove, none that has a number in `field`: a client cannot have Host,
   * Authorization, a forwarded field or one that frames the message taken away by naming it here.
   */
  readonly names: readonly string[] | undefined;
}

const none: ConnectionOptions = { bits: 0, names: undefined };
const close: ConnectionOptions = { bits: option.close, names: undefined };
const keepAlive: ConnectionOptions = { bits: option.keepAlive, names: undefined };

/** @param value every Connection value of the message, joined. Elements that are not tokens are passed over. */
export function parseConnectionOptions(value: string | undefined): ConnectionOptions {
  if (value === undefined) return none;
  if (value === 'keep-alive' || value === 'Keep-Alive') return keepAlive;
  if (value === 'close') return close;
  let bits = 0;
  let names: string[] | undefined;
  for (const element of value.split(',')) {
    const name = element.trim().toLowerCase();
    if (name === 'close') bits |= option.close;
    else if (name === 'keep-alive') bits |= option.keepAlive;
    else if (name === 'upgrade') bits |= option.upgrade;
    else if (name === 'te') bits |= option.te;
    else if (isToken(name) && identifyName(name) === field.other) (names ??= []).push(name);
  }
  return { bits, names };
}
