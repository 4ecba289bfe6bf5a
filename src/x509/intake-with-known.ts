// Intake with what is known of other chains: an issuer that was not sent is looked up, and its issuer after it.
import { parseCertificate } from './certificate.ts';
import { judge, readInput, type IntakeInput, type IntakeResult } from './intake.ts';
import { scanPem } from './pem.ts';

/** PEM of the known certificates whose subject has this `subjectKey`. */
export type IntermediatesOf = (subjectKey: string) => readonly string[] | Promise<readonly string[]>;

/** Issuers that may have to be looked up one after the other. */
const missingIssuersMax = 8;

/** As `intake`. @throws what `intermediatesOf` throws */
export async function intakeWithKnown(
  input: Omit<IntakeInput, 'knownIntermediates'>,
  intermediatesOf: IntermediatesOf,
): Promise<IntakeResult> {
  const known: string[] = [];
  // Once: opening a key with its passphrase may take a second.
  const sources = readInput(input);
  const asked = new Set<string>();
  for (;;) {
    const result = judge(sources, { ...input, knownIntermediates: known });
    const missing = result.kind === 'refused' ? undefined : result.missingIssuer;
    if (missing === undefined || asked.has(missing) || asked.size >= missingIssuersMax) return result;
    // What leads to a root can be told only when what is above it is known as well.
    for (const wanted = [missing]; wanted.length > 0 && asked.size < missingIssuersMax;) {
      const subjectKey = wanted.shift() ?? missing;
      if (asked.has(subjectKey)) continue;
      asked.add(subjectKey);
      const found = (await intermediatesOf(subjectKey)).filter((pem) => !known.includes(pem));
      known.push(...found);
      wanted.push(...found.flatMap(issuersAbove));
    }
  }

  function issuersAbove(pem: string): readonly string[] {
    const [block] = scanPem(pem).blocks;
    const certificate = block?.kind === 'content' ? parseCertificate(block.bytes) : undefined;
    return certificate === undefined || input.roots?.(certificate.issuerKey).length !== 0
      ? []
      : [certificate.issuerKey];
  }
}
