// The contract of sealing: the one form in which a private key is stored. store/sealing.ts implements it with AES-256-GCM.

export interface Sealer {
  /** Ids of the master keys, the one that seals first. */
  readonly keyIds: readonly [string, ...string[]];
  /** The id of the master key that a text is sealed under, or undefined when it is no sealed text. Opens nothing. */
  keyIdOf(sealed: string): string | undefined;
  /** `binding` (a public key's SHA-256, say) is authenticated: the sealed text opens only together with it. */
  seal(plain: string | Uint8Array, binding: string): string;
  /** @throws KEYRING_MISMATCH naming the missing key id, or that the text was altered. */
  open(sealed: string, binding: string): Buffer;
}
