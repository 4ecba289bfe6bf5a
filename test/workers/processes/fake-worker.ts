// A worker that serves nothing and does what the pool says. Its configuration decides how it lives: with log level `silent` it
// ends when it is started, with `error` it never ends its drain, and it reports the level it runs with.
import type { FromWorker, ToWorker } from '../../../src/workers/protocol.ts';

let logLevel = '';

process.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'start':
      logLevel = message.config.logLevel;
      if (logLevel === 'silent') process.exit(1);
      say({ kind: 'loaded', revision: 0 });
      break;
    case 'listeners-sent':
      say({ kind: 'listening' });
      break;
    case 'report':
      say({ kind: 'report', request: message.request, report: logLevel });
      break;
    case 'ping':
      say({ kind: 'alive' });
      break;
    case 'drain':
      if (logLevel !== 'error') process.exit(0);
      break;
    case 'listen':
    case 'changes':
    case 'certificate-fetched':
    case 'reopen-logs':
      break;
  }
});
process.on('disconnect', () => process.exit(0));

function say(message: FromWorker<string>): void {
  process.send?.(message);
}
