// The roots that Node.js trusts, which are Mozilla's: by them a CA's own intermediate is told from somebody's imitation of it.
import { rootCertificates } from 'node:tls';
import { indexRoots, type RootsOf } from '../x509/roots.ts';

let index: RootsOf | undefined;

/** The first call takes some milliseconds. */
export const publicRoots: RootsOf = (subjectKey) => (index ??= indexRoots(rootCertificates))(subjectKey);
