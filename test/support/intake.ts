// Intake with the circumstances that most tests do not care about, and its result told apart.
import assert from 'node:assert/strict';
import { intake, type IntakeInput, type IntakeResult } from '../../src/x509/intake.ts';

export const now = Date.now();

export function take(input: Partial<IntakeInput> & Pick<IntakeInput, 'cert'>): IntakeResult {
  return intake({ key: undefined, now, minRsaBits: 2048, ...input });
}

export function accepted(result: IntakeResult): IntakeResult & { readonly kind: 'accepted' } {
  assert.ok(result.kind === 'accepted', JSON.stringify(result));
  return result;
}

/** The codes of the problems; none when the input was accepted. */
export function problemCodes(result: IntakeResult): readonly string[] {
  return result.kind === 'refused' ? result.problems.map((problem) => problem.code) : [];
}

export function codes(findings: readonly { readonly code: string }[]): readonly string[] {
  return findings.map((one) => one.code);
}
