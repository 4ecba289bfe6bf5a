// Reads a store's file as a worker does, read-only and from its own process, until its standard input ends. Each read
// looks at everything in one snapshot; what is not a whole revision is printed. Argument: the store's file.
import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync(process.argv[2] ?? '', { readOnly: true, timeout: 5000 });
const look = database.prepare(`SELECT
  (SELECT revision FROM revision) AS revision,
  (SELECT count(*) FROM certificates) AS certificates,
  (SELECT count(*) FROM snis) AS snis,
  (SELECT count(*) FROM bindings) AS bindings,
  (SELECT count(*) FROM certificate_tags) AS tags,
  (SELECT count(DISTINCT revision) FROM changes) AS changed,
  (SELECT coalesce(max(revision), 0) FROM changes) AS latest,
  (SELECT count(*) FROM changes) AS changes`);
let reads = 0;
let stopped = false;
let last = 0;

process.stdin.on('end', () => (stopped = true)).resume();
writeSync(1, 'ready\n');
// One look more once the input has ended: it sees all that was written before.
for (let ending = false; !ending;) {
  ending = stopped;
  const { revision = 0, changes, ...rest } = look.get() as Record<string, number>;
  const whole = changes === 2 * revision && Object.values(rest).every((count) => count === revision);
  if (!whole || revision < last) writeSync(1, `not whole: ${JSON.stringify({ revision, last, changes, ...rest })}\n`);
  last = revision;
  reads += 1;
  await new Promise(setImmediate);
}
writeSync(1, `saw ${last} in ${reads} reads\n`);
database.close();
