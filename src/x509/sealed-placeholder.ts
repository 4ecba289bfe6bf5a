// What stands in an answer where a private key would be, and is understood when it is sent back.

/** `{sealed:sha256:<hex of the public key's SHA-256>}`. */
export function sealedPlaceholder(publicKeySha256: string): string {
  return `{sealed:sha256:${publicKeySha256}}`;
}

/** The hash in a placeholder, or undefined when the text is none. White space around it does not matter. */
export function readSealedPlaceholder(text: string): string | undefined {
  if (text.length > 200) return undefined;
  return /^\s*\{sealed:sha256:([0-9a-fA-F]{64})\}\s*$/.exec(text)?.[1]?.toLowerCase();
}
