// RC2 in CBC mode (RFC 2268), decryption only: what Windows and OpenSSL before 3 hide the certificates of a PKCS#12 file with, and
// node:crypto no longer has. It protects nothing.

/** Without the padding; undefined when that is damaged. All bits of the key count. */
export function decryptRc2(key: Uint8Array, iv: Uint8Array, cipherText: Uint8Array): Buffer | undefined {
  if (cipherText.length === 0 || cipherText.length % 8 !== 0) return undefined;
  const words = expandKey(key);
  const input = Buffer.from(cipherText.buffer, cipherText.byteOffset, cipherText.length);
  const output = Buffer.alloc(input.length);
  let previous: Uint8Array = iv;
  for (let at = 0; at < input.length; at += 8) {
    decryptBlock(words, input, output, at);
    for (let index = 0; index < 8; index += 1) {
      output[at + index] = (output[at + index] ?? 0) ^ (previous[index] ?? 0);
    }
    previous = input.subarray(at, at + 8);
  }
  const padding = output.at(-1) ?? 0;
  const isSound = padding > 0 && padding <= 8 && output.subarray(-padding).every((byte) => byte === padding);
  return isSound ? output.subarray(0, -padding) : undefined;
}

/** Section 2. */
function expandKey(key: Uint8Array): Uint16Array {
  const bytes = new Uint8Array(128);
  bytes.set(key);
  const length = key.length;
  for (let index = length; index < 128; index += 1) {
    bytes[index] = pi[((bytes[index - 1] ?? 0) + (bytes[index - length] ?? 0)) & 0xff] ?? 0;
  }
  bytes[128 - length] = pi[bytes[128 - length] ?? 0] ?? 0;
  for (let index = 127 - length; index >= 0; index -= 1) {
    bytes[index] = pi[(bytes[index + 1] ?? 0) ^ (bytes[index + length] ?? 0)] ?? 0;
  }
  return Uint16Array.from({ length: 64 }, (_, index) => (bytes[2 * index] ?? 0) | ((bytes[2 * index + 1] ?? 0) << 8));
}

const rotations = [1, 2, 3, 5] as const;

/** Section 4: five rounds of mixing, six, five, with one of mashing between them, backwards. */
function decryptBlock(words: Uint16Array, input: Buffer, output: Buffer, at: number): void {
  const r = [0, 2, 4, 6].map((offset) => input.readUInt16LE(at + offset));
  const part = (index: number): number => r[index & 3] ?? 0;
  let next = 63;
  for (let round = 15; round >= 0; round -= 1) {
    for (let index = 3; index >= 0; index -= 1) {
      const turn = rotations[index] ?? 1;
      const turned = ((part(index) >>> turn) | (part(index) << (16 - turn))) & 0xffff;
      const mixed = (part(index + 3) & part(index + 2)) + (~part(index + 3) & part(index + 1));
      r[index] = (turned - (words[next] ?? 0) - mixed) & 0xffff;
      next -= 1;
    }
    if (round !== 11 && round !== 5) continue;
    for (let index = 3; index >= 0; index -= 1) {
      r[index] = (part(index) - (words[part(index + 3) & 63] ?? 0)) & 0xffff;
    }
  }
  for (const [index, word] of r.entries()) output.writeUInt16LE(word, at + 2 * index);
}

/** The digits of pi, shuffled. */
const pi = Buffer.from(
  'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82' +
    '54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb6266fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7' +
    '08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731' +
    '2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad',
  'hex',
);
