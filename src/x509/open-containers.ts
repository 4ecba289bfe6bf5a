// The PKCS#12 file among the material of a field, opened: its certificates and keys then stand beside what else was sent.
import { at, type MaterialField } from './describe-misfit.ts';
import { finding, type Finding, type ProblemCode } from './findings.ts';
import { addCertificate, addKey, derBlock, type Material } from './material.ts';
import { passphraseMaxBytes } from './private-key.ts';
import { pkcs12MaxBags, pkcs12MaxRounds, readPkcs12, type Pkcs12Refusal } from './read-pkcs12.ts';

/** `containers` of the result are those that did not open; why is among its problems. */
export function openContainers(material: Material, passphrase: string | undefined, field: MaterialField): Material {
  const [container, ...others] = material.containers;
  if (container === undefined) return material;
  const refuse = (problem: Finding): Material => ({ ...material, problems: [...material.problems, problem] });
  if (others.length > 0) {
    const message = `There are ${material.containers.length} PKCS#12 files; one is read.`;
    return refuse(finding('CERTIFICATE_FORMAT_UNSUPPORTED', field, message, 'Send them one by one.'));
  }
  if (Buffer.byteLength(passphrase ?? '') > passphraseMaxBytes) {
    const message = `The passphrase is longer than ${passphraseMaxBytes} bytes.`;
    return refuse(finding('KEY_PASSPHRASE_WRONG', 'passphrase', message));
  }
  const reading = readPkcs12(container.bytes, passphrase);
  if (reading.kind === 'refused')
    return refuse(describe(reading.reason, `The PKCS#12 file${at(container.where)}`, field));
  const found = {
    ...material,
    certificates: [...material.certificates],
    keys: [...material.keys],
    containers: [],
    problems: [...material.problems],
    misfits: [...material.misfits],
    repairs: [...material.repairs],
  };
  const add = (list: readonly Uint8Array[], what: string, collect: typeof addKey, label: string) => {
    for (const [index, der] of list.entries()) {
      collect(derBlock(label, der), `${what} ${index + 1} of the PKCS#12 file`, field, found);
    }
  };
  add(reading.certificates, 'certificate', addCertificate, 'CERTIFICATE');
  add(reading.keys, 'key', addKey, 'PRIVATE KEY');
  const unlocked = found.keys.slice(material.keys.length).map((key) => ({ ...key, unlocked: reading.wasLocked }));
  return { ...found, keys: [...material.keys, ...unlocked] };
}

function describe(reason: Pkcs12Refusal, file: string, field: MaterialField): Finding {
  const { code = unreadable[field], says, hint } = refusals[reason];
  return finding(code, reason === 'passphrase-wrong' ? 'passphrase' : field, `${file} ${says}.`, hint);
}

const unreadable = { cert: 'CERTIFICATE_UNREADABLE', key: 'KEY_UNREADABLE' } as const;
const anew = 'Make it anew: openssl pkcs12 -in old.p12 -nodes -legacy -out all.pem, and send all.pem.';
const check = 'Check it with: openssl pkcs12 -in file.p12 -info -noout.';

interface RefusalText {
  readonly code?: ProblemCode;
  readonly says: string;
  readonly hint: string;
}

const refusals: Readonly<Record<Pkcs12Refusal, RefusalText>> = {
  damaged: { says: 'cannot be read: it is damaged', hint: check },
  unsupported: {
    code: 'CERTIFICATE_FORMAT_UNSUPPORTED',
    says: 'is protected in a way that is not read',
    hint: anew,
  },
  'too-costly': {
    code: 'CERTIFICATE_FORMAT_UNSUPPORTED',
    says: `takes too many rounds to open: at most ${pkcs12MaxRounds.pbkdf2} of PBKDF2 and ${pkcs12MaxRounds.pkcs12} of PKCS#12's own are tried`,
    hint: anew,
  },
  'too-many-bags': {
    code: 'CERTIFICATE_CHAIN_TOO_LONG',
    says: `holds more than ${pkcs12MaxBags} entries`,
    hint: 'Export one certificate with its chain and key.',
  },
  locked: {
    code: 'KEY_ENCRYPTED',
    says: 'has a passphrase and none was given',
    hint: 'Send its passphrase in the field passphrase.',
  },
  'passphrase-wrong': {
    code: 'KEY_PASSPHRASE_WRONG',
    says: 'is not opened by the passphrase, or is damaged',
    hint: check,
  },
};
