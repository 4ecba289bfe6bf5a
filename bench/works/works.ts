// All works, in the order of the table.
import { connectionWorks } from './connections.ts';
import { latencyWorks } from './latency.ts';
import { memoryWorks } from './memory.ts';
import { costWorks, requestWorks } from './requests.ts';
import { websocketWorks } from './websocket.ts';
import type { Work } from './work.ts';

export const works: readonly Work[] = [
  ...requestWorks,
  ...connectionWorks,
  ...websocketWorks,
  ...costWorks,
  ...latencyWorks,
  ...memoryWorks,
];
