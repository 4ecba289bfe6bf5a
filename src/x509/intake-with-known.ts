// Intake with what is known of other chains: an issuer that was not sent is looked up, and its issuer after it.
import { judge, readInput, type IntakeInput, type IntakeResult } from './intake.ts';

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
  for (let lookups = 0; ; lookups += 1) {
    const result = judge(sources, { ...input, knownIntermediates: known });
    if (result.kind === 'refused' || result.missingIssuer === undefined || lookups === missingIssuersMax) return result;
    const found = (await intermediatesOf(result.missingIssuer)).filter((pem) => !known.includes(pem));
    if (found.length === 0) return result;
    known.push(...found);
  }
}
