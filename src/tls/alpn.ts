// Which application protocol a client gets, from the ALPN of its ClientHello (RFC 7301).

export type AlpnProtocol = 'http/1.1' | 'h2';

export type AlpnChoice =
  | {
      readonly kind: 'chosen';
      readonly protocol: AlpnProtocol;
      /** The choice alone, as OpenSSL takes it. */
      readonly wire: Uint8Array;
    }
  /** No ALPN: HTTP/1.1, and nothing is answered. */
  | { readonly kind: 'not-asked'; readonly protocol: 'http/1.1' }
  /**
   * The client speaks other protocols only. Going on without ALPN would let it take an HTTP answer for one of another
   * protocol (ALPACA), so the handshake ends with no_application_protocol, as section 3.2 asks.
   */
  | { readonly kind: 'none-in-common' };

/** @param offered the server's protocols, most wanted first: its order decides */
export function chooseAlpn(asked: readonly string[], offered: readonly AlpnProtocol[]): AlpnChoice {
  if (asked.length === 0) return notAsked;
  for (const protocol of offered) if (asked.includes(protocol)) return choices[protocol];
  return asked.includes('http/1.0') && offered.includes('http/1.1') ? http10 : noneInCommon;
}

const notAsked: AlpnChoice = { kind: 'not-asked', protocol: 'http/1.1' };
const noneInCommon: AlpnChoice = { kind: 'none-in-common' };
const choices: Readonly<Record<AlpnProtocol, AlpnChoice>> = {
  'http/1.1': { kind: 'chosen', protocol: 'http/1.1', wire: toWire('http/1.1') },
  h2: { kind: 'chosen', protocol: 'h2', wire: toWire('h2') },
};
/** The HTTP/1.1 codec answers HTTP/1.0 too; a few old clients name it. */
const http10: AlpnChoice = { kind: 'chosen', protocol: 'http/1.1', wire: toWire('http/1.0') };

function toWire(protocol: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(protocol.length), Buffer.from(protocol)]);
}
