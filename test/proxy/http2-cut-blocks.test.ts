// Node aborts its process when a connection of HTTP/2 is collected before a stream of it whose header block was cut.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { succeed } from '../support/command.ts';

const script = fileURLToPath(new URL('processes/cut-header-blocks.ts', import.meta.url));

for (const who of ['clients', 'upstreams']) {
  test(`header blocks that ${who} cut end no process`, { timeout: 120_000 }, async () => {
    await succeed(process.execPath, ['--expose-gc', '--max-semi-space-size=1', script, who]);
  });
}
