// A certificate or key as a setting gives it: the path of a file, PEM text, or base64 of PEM text. What is in the PEM is
// read elsewhere.
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface PemSource {
  /** How a message may call it: a path, or `(hidden)` for what may be a key. */
  readonly shown: string;
  /** Undefined: there is no such file, or no PEM in it. */
  readonly pem: string | undefined;
}

const sizeMax = 1024 * 1024;

/** @param base the folder that relative paths start from */
export function readPemSource(text: string, base: string): PemSource {
  if (text.includes('-----BEGIN')) return { shown: '(hidden)', pem: normal(text.replaceAll(String.raw`\n`, '\n')) };
  const decoded = /^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(text) ? Buffer.from(text, 'base64').toString('latin1') : '';
  if (decoded.includes('-----BEGIN')) return { shown: '(hidden)', pem: normal(decoded) };
  return { shown: looksLikePath(text) ? text : '(hidden)', pem: readPem(path.resolve(base, text)) };
}

/** Splits a text at its commas, but not at those inside the headers of an old encrypted PEM. */
export function splitPemSources(text: string): readonly string[] {
  return text.split(/,(?!ENCRYPTED\b|[0-9A-F]{16,}\s)/).map((part) => part.trim());
}

function readPem(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'latin1');
    return text.length <= sizeMax && text.includes('-----BEGIN') ? normal(text) : undefined;
  } catch {
    return undefined;
  }
}

function normal(pem: string): string {
  return `${pem.trim()}\n`;
}

/** Base64 has no dot, a key in base64 of DER or PEM starts with a letter, and neither has short words. */
function looksLikePath(text: string): boolean {
  if (text.length > 255 || /\s|[A-Za-z0-9+]{40}/.test(text)) return false;
  return /^(\.{0,2}\/|[\w-]+\.|[\w-]+\/[\w./-]*\.)/.test(text);
}
