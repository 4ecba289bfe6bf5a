// Certificates that are trusted whatever others say: found by their names, parsed when they are asked for.
import { nameKey, outlineOf, parseCertificate, type Certificate } from './certificate.ts';
import { scanPem } from './pem.ts';

/** Those whose subject has this `subjectKey`. */
export type RootsOf = (subjectKey: string) => readonly Certificate[];

/** @param pems one certificate each; what is none is left out */
export function indexRoots(pems: readonly string[]): RootsOf {
  const bySubject = new Map<string, Uint8Array[]>();
  for (const pem of pems) {
    const [block] = scanPem(pem).blocks;
    const subject = block?.kind === 'content' ? outlineOf(block.bytes).subject : undefined;
    if (block?.kind !== 'content' || subject === undefined) continue;
    const key = nameKey(subject.whole);
    bySubject.set(key, [...(bySubject.get(key) ?? []), block.bytes]);
  }
  return (subjectKey) => (bySubject.get(subjectKey) ?? []).flatMap((der) => parseCertificate(der) ?? []);
}
