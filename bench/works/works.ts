// All works, in the order of the table.
import { connectionWorks } from './connections.ts';
import { requestWorks } from './requests.ts';
import type { Work } from './work.ts';

export const works: readonly Work[] = [...requestWorks, ...connectionWorks];
